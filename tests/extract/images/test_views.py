"""Views are torchvision's training transforms, drawn from hash(seed, view, sample id)."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torchvision import transforms
from torchvision.transforms import functional as F

from extract.datasets.common import Images
from extract.images.decoding import decoded
from extract.images.recipes import RECIPES
from extract.images.transforms import input_size, make_pixels
from extract.images.views import crop_box, draw
from store.errors import BadValue
from store.samples import Samples

MODES = {"bilinear": transforms.InterpolationMode.BILINEAR, "bicubic": transforms.InterpolationMode.BICUBIC}
AUGMENTED = sorted(name for name, recipe in RECIPES.items() if recipe.augment)


def photo(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng([height, width])
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(x / 17 + c) + np.cos(y / (11 + c)) for c in range(3)], axis=2)
    return (127 + 50 * waves + rng.normal(0, 20, (height, width, 3))).clip(0, 255).astype(np.uint8)


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy())


@pytest.mark.parametrize("name", AUGMENTED)
@pytest.mark.parametrize("size", [(375, 500), (97, 64), (5, 40), (1, 1)], ids=str)
def test_pixels_are_those_of_torchvision_on_pil_images(name: str, size: tuple[int, int]) -> None:
    image = photo(*size)
    for view in (1, 2, 3):
        recipe = RECIPES[name].with_view(view)
        drawn = draw(recipe, "a.jpg")
        box = crop_box(recipe, drawn, *size)
        want = F.resized_crop(Image.fromarray(image), *box, list(input_size(recipe)), MODES[recipe.interpolation])
        if recipe.augment.jitter:  # CloserLookFewShot data/additional_transforms.py
            for enhance, uniform in zip(("Brightness", "Contrast", "Color"), drawn.jitter, strict=True):
                want = getattr(ImageEnhance, enhance)(want).enhance(0.4 * (uniform * 2.0 - 1.0) + 1)
        if drawn.flip < 0.5:
            want = F.hflip(want)
        got = make_pixels(as_tensor(image), recipe, "a.jpg").permute(1, 2, 0).numpy()
        assert got.shape == (*input_size(recipe), 3)
        assert np.abs(got.astype(int) - np.asarray(want)).max() <= 1


@pytest.mark.parametrize("name", ["imagenet_224", "cifar_224"])
@pytest.mark.parametrize("size", [(375, 500), (32, 32), (300, 100)], ids=str)
def test_crops_are_distributed_as_those_of_torchvision(name: str, size: tuple[int, int]) -> None:
    from scipy.stats import ks_2samp

    recipe, count = RECIPES[name].with_view(1), 4000
    torch.manual_seed(0)
    empty = torch.empty(3, *size)
    theirs = np.array(
        [
            transforms.RandomResizedCrop.get_params(empty, recipe.augment.scale, recipe.augment.ratio)
            for _ in range(count)
        ]
    )
    ours = np.array([crop_box(recipe, draw(recipe, f"{i}.jpg"), *size) for i in range(count)])
    for what in (lambda b: b[:, 0], lambda b: b[:, 1], lambda b: b[:, 2] * b[:, 3], lambda b: b[:, 3] / b[:, 2]):
        assert ks_2samp(what(ours), what(theirs)).pvalue > 0.005
    flips = np.array([draw(recipe, f"{i}.jpg").flip for i in range(count)])
    assert abs((flips < 0.5).mean() - 0.5) < 0.03


@pytest.mark.parametrize("size", [(10, 1000), (1000, 10)])
def test_the_middle_is_taken_where_no_box_fits(size: tuple[int, int]) -> None:
    recipe = RECIPES["cifar_224"].with_view(1)
    want = transforms.RandomResizedCrop.get_params(torch.empty(3, *size), recipe.augment.scale, recipe.augment.ratio)
    assert crop_box(recipe, draw(recipe, "a"), *size) == want


def test_the_numbers_stay_for_ever() -> None:
    recipe = RECIPES["imagenet_224"].with_view(1)
    assert crop_box(recipe, draw(recipe, "n01440764/a.JPEG"), 375, 500) == (3, 43, 365, 386)
    assert draw(recipe, "n01440764/a.JPEG").flip == pytest.approx(0.490507245062086, abs=1e-15)


def test_every_backbone_sees_the_same_crop() -> None:
    boxes = {
        name: crop_box(recipe, draw(recipe, "x.jpg"), 375, 500)
        for name in ("imagenet_224", "imagenet_384", "vit_384", "lite1_240", "pixels_16")
        if (recipe := RECIPES[name].with_view(4))
    }
    assert len(set(boxes.values())) == 1


def test_view_seed_and_sample_each_change_the_crop() -> None:
    recipe = RECIPES["imagenet_224"]
    drawn = [
        draw(recipe.with_view(1), "a"),
        draw(recipe.with_view(2), "a"),
        draw(recipe.with_view(1, seed=1), "a"),
        draw(recipe.with_view(1), "b"),
    ]
    assert len({crop_box(recipe, one, 375, 500) for one in drawn}) == 4


def test_pixels_do_not_depend_on_workers_or_order() -> None:
    pictures = [photo(40 + i, 60) for i in range(12)]
    samples = Samples("toy", "train", [f"{i}.png" for i in range(12)], np.full(12, 9))
    recipe = RECIPES["fewshot_84"].with_view(2)

    def made(rows: list[int], workers: int) -> dict[int, torch.Tensor]:
        images = Images(samples, lambda row: pictures[row])
        return {
            s.row: s.pixels[recipe]
            for s in decoded(images, ((row, [recipe]) for row in rows), workers=workers, ahead=3)
        }

    one, other = made(list(range(12)), 1), made([7, 3, 11, 0], 3)
    assert all(torch.equal(one[row], other[row]) for row in other)


def test_the_evaluation_crop_is_view_0_and_knows_no_augmentation() -> None:
    recipe = RECIPES["cifar_224"]
    assert recipe.with_view(0, seed=5) is recipe
    assert not {"augment", "seed"} & set(recipe.parts())
    parts = recipe.with_view(3, seed=5).parts()
    assert (parts["view"], parts["seed"]) == (3, 5)
    assert parts["augment"] == {"scale": [0.8, 1.0], "ratio": [3 / 4, 4 / 3], "flip": 0.5, "jitter": 0.0}
    assert RECIPES["fewshot_224"].augment.jitter == 0.4


def test_camelyon_has_one_view() -> None:
    with pytest.raises(BadValue, match=r"view 1: upstream trains on the evaluation images here.*--views 1"):
        RECIPES["camelyon_96"].with_view(1)
