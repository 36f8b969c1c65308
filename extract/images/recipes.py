"""How an image becomes a network's input, as data. What `transforms.py` does with it is hashed with every feature set.

Sources: TjuJianyu/RRL src/datasets.py; few-shot: wyharveychen/CloserLookFewShot data/datamgr.py.
"""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from store.errors import BadValue

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How a backbone's training images are drawn; what is drawn is in `views.py`."""

    scale: tuple[float, float] = (0.08, 1.0)
    """Area of the crop, as a part of the image's."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Width over height of the crop, before it is resized."""
    flip: float = 0.5
    """Probability of a mirror image."""
    jitter: float = 0.0
    """Brightness, contrast and colour are each multiplied by 1 - jitter to 1 + jitter."""


RANDOM_CROP = Augment()
"""torchvision's RandomResizedCrop and RandomHorizontalFlip as they are."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Decode, resize, crop, normalise. Sizes in pixels; mean and std in units of 1 (pixels are divided by 255)."""

    resize: int | tuple[int, int] | None = 256
    """The shorter side, keeping the aspect; or (height, width), not keeping it; None: as it is."""
    crop: int | None = 224
    """Side of the centre crop; None: no crop."""
    interpolation: str = "bilinear"
    """bilinear or bicubic; always antialiased, as PIL does it."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    decoder: str = "pil"
    augment: Augment | None = RANDOM_CROP
    """Of views from 1 on; None: upstream trains on the evaluation images."""
    view: int = 0
    """0: this evaluation crop; from 1 on: a random crop drawn from hash(seed, view, sample id)."""
    seed: int = 0

    def parts(self) -> dict[str, Any]:
        """The fields as JSON values, for the fingerprint. An evaluation crop knows nothing of augmentation."""
        fields = asdict(self)
        if self.view == 0:
            del fields["augment"], fields["seed"]
        parts: dict[str, Any] = json.loads(json.dumps(fields))
        return parts

    def with_view(self, view: int, seed: int = 0) -> "Recipe":
        """View 0 is the recipe itself. Raises `BadValue`: there is no augmentation, so no other view."""
        if view == 0:
            return self
        if self.augment is None:
            raise BadValue(
                f"view {view}: upstream trains on the evaluation images here, so that there is one view: --views 1"
            )
        return replace(self, view=view, seed=seed)


_IMAGENET = Recipe()
_IMAGENET_384 = replace(_IMAGENET, resize=384, crop=384, interpolation="bicubic")
_CAMELYON = Recipe(resize=(96, 96), crop=None, augment=None)
_CIFAR = Recipe(
    resize=256,  # 224 * 8 / 7
    crop=224,
    interpolation="bicubic",
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    augment=Augment(scale=(0.8, 1.0)),
)
_FEWSHOT = Recipe(resize=(257, 257), crop=224, augment=Augment(jitter=0.4))
_RRL_STD = (0.228, 0.224, 0.225)
"""SWAV's slip of the pen, kept by upstream for these datasets: its published numbers have it."""
_SKETCH: dict[str, Any] = {"mean": (0.8249, 0.8246, 0.8243), "std": (0.2699, 0.2701, 0.2699)}
_LITE_MEAN, _LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3

RECIPES: dict[str, Recipe] = {
    "imagenet_224": _IMAGENET,
    "imagenet_384": _IMAGENET_384,
    "vit_224": replace(_IMAGENET, mean=(0.5,) * 3, std=(0.5,) * 3),
    "vit_384": replace(_IMAGENET, resize=384, crop=384, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3),
    "camelyon_96": _CAMELYON,
    "camelyon_96_rrl": replace(_CAMELYON, std=_RRL_STD),
    "cifar_224": _CIFAR,
    "cifar_32": replace(_CIFAR, resize=36, crop=32),
    "imagenetv2_224": replace(_IMAGENET, std=_RRL_STD),
    "imagenetv2_384": replace(_IMAGENET_384, std=_RRL_STD),
    "imagenet_sketch_224": replace(_IMAGENET, **_SKETCH),
    "imagenet_sketch_384": replace(_IMAGENET_384, **_SKETCH),
    "fewshot_224": _FEWSHOT,
    "fewshot_84": replace(_FEWSHOT, resize=(96, 96), crop=84),
    "lite0_224": Recipe(resize=256, crop=224, interpolation="bicubic", mean=_LITE_MEAN, std=_LITE_STD),
    "lite1_240": Recipe(resize=272, crop=240, interpolation="bicubic", mean=_LITE_MEAN, std=_LITE_STD),
    "lite2_260": Recipe(resize=292, crop=260, interpolation="bicubic", mean=_LITE_MEAN, std=_LITE_STD),
    "small_32": Recipe(resize=32, crop=32, augment=Augment(scale=(0.4, 1.0))),
    "pixels_16": Recipe(resize=(16, 16), crop=None, mean=(0.0,) * 3, std=(1.0,) * 3),
}

BY_DATASET: dict[tuple[str, str], str] = {
    ("imagenet_224", "cifar10"): "cifar_224",
    ("imagenet_224", "cifar100"): "cifar_224",
    ("imagenet_224", "camelyon17"): "camelyon_96_rrl",
    ("imagenet_224", "imagenetv2"): "imagenetv2_224",
    ("imagenet_384", "imagenetv2"): "imagenetv2_384",
    ("imagenet_224", "imagenet-sketch"): "imagenet_sketch_224",
    ("imagenet_384", "imagenet-sketch"): "imagenet_sketch_384",
}
"""(a backbone's own recipe, dataset) -> the recipe that upstream uses there instead."""


def for_dataset(recipe: Recipe, dataset: str) -> Recipe:
    """What upstream does to the images of `dataset` before a backbone whose own recipe is `recipe`."""
    for (own, name), instead in BY_DATASET.items():
        if name == dataset and RECIPES[own] == recipe:
            return RECIPES[instead]
    return recipe


def recipe_text(recipe: Recipe) -> str:
    """One line: its name where it has one, and what it does to an image."""
    name = next((name for name, row in RECIPES.items() if row == recipe), "a recipe of its own")
    sides = [f"resize {recipe.resize}"] if recipe.resize else []
    sides += [f"crop {recipe.crop}"] if recipe.crop else []
    mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (recipe.mean, recipe.std))
    return f"{name}: {', '.join([*sides, recipe.interpolation, f'mean {mean}', f'std {std}'])}"
