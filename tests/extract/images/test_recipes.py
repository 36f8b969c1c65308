"""Recipes are upstream's, by backbone and by dataset: TjuJianyu/RRL src/datasets.py."""

import pytest

from extract.backbones import find_backbone
from extract.images.recipes import BY_DATASET, RECIPES, for_dataset


@pytest.mark.parametrize(
    ("backbone", "resize", "crop", "interpolation", "mean", "std"),
    [
        ("supervised_resnet50_run0", 256, 224, "bilinear", 0.485, 0.229),
        ("seer_regnet256gf", 256, 224, "bilinear", 0.485, 0.229),
        ("seer_regnet64gf_finetuned", 384, 384, "bicubic", 0.485, 0.229),
        ("vit_b16_in21k", 256, 224, "bilinear", 0.5, 0.5),
        ("vitaugreg_l16_in21k_384", 384, 384, "bicubic", 0.5, 0.5),
        ("vit_l16_in21k_in1k", 384, 384, "bicubic", 0.5, 0.5),
        ("densenet121", (96, 96), None, "bilinear", 0.485, 0.229),
        ("resnet34", (257, 257), 224, "bilinear", 0.485, 0.229),
        ("conv4", (96, 96), 84, "bilinear", 0.485, 0.229),
    ],
)
def test_a_backbones_own_recipe(
    backbone: str, resize: object, crop: int | None, interpolation: str, mean: float, std: float
):
    recipe = RECIPES[find_backbone(backbone).recipe]
    assert (recipe.resize, recipe.crop, recipe.interpolation) == (resize, crop, interpolation)
    assert (recipe.mean[0], recipe.std[0]) == (mean, std)


def test_cifar_has_its_own_statistics_and_interpolation():
    recipe = for_dataset(RECIPES["imagenet_224"], "cifar100")
    assert (recipe.resize, recipe.crop, recipe.interpolation) == (256, 224, "bicubic")
    assert recipe.mean == (0.4914, 0.4822, 0.4465)
    assert recipe.std == (0.2023, 0.1994, 0.2010)
    assert (RECIPES["cifar_32"].resize, RECIPES["cifar_32"].crop) == (36, 32)


def test_camelyon_and_the_imagenet_variants_have_theirs():
    own = RECIPES["imagenet_224"]
    assert for_dataset(own, "camelyon17").resize == (96, 96)
    assert for_dataset(own, "camelyon17").std == (0.228, 0.224, 0.225)
    assert for_dataset(own, "imagenetv2").std == (0.228, 0.224, 0.225)
    assert for_dataset(own, "imagenet-sketch").mean == (0.8249, 0.8246, 0.8243)
    at_384 = for_dataset(RECIPES["imagenet_384"], "imagenetv2")
    assert (at_384.std, at_384.crop, at_384.interpolation) == ((0.228, 0.224, 0.225), 384, "bicubic")
    assert for_dataset(RECIPES["imagenet_384"], "imagenet-sketch").std == (0.2699, 0.2701, 0.2699)


def test_other_datasets_and_other_recipes_stay_as_they_are():
    assert for_dataset(RECIPES["imagenet_224"], "openmoji") is RECIPES["imagenet_224"]
    assert for_dataset(RECIPES["lite0_224"], "cifar10") is RECIPES["lite0_224"]
    assert {name for pair in BY_DATASET.items() for name in (pair[0][0], pair[1])} <= set(RECIPES)
