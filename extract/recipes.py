"""How an image becomes a network's input, as data. What `transforms.py` does with it is hashed with every feature set.

Sources: facts of each backbone's own evaluation code; few-shot: wyharveychen/CloserLookFewShot data/datamgr.py.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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
    view: int = 0
    """0: this evaluation crop; from 1 on: a random crop drawn from hash(seed, view, sample id)."""

    def parts(self) -> dict[str, Any]:
        """The fields as JSON values, for the fingerprint."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


_IMAGENET = Recipe()
_LITE_MEAN, _LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3

RECIPES: dict[str, Recipe] = {
    "imagenet_224": _IMAGENET,
    "imagenet_384": replace(_IMAGENET, resize=384, crop=384, interpolation="bicubic"),
    "vit_224": replace(_IMAGENET, mean=(0.5,) * 3, std=(0.5,) * 3),
    "vit_384": replace(_IMAGENET, resize=384, crop=384, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3),
    "camelyon_96": replace(_IMAGENET, resize=(96, 96), crop=None),
    "fewshot_224": replace(_IMAGENET, resize=(257, 257), crop=224),
    "fewshot_84": replace(_IMAGENET, resize=(96, 96), crop=84),
    "lite0_224": Recipe(resize=256, crop=224, interpolation="bicubic", mean=_LITE_MEAN, std=_LITE_STD),
    "lite1_240": Recipe(resize=272, crop=240, interpolation="bicubic", mean=_LITE_MEAN, std=_LITE_STD),
    "lite2_260": Recipe(resize=292, crop=260, interpolation="bicubic", mean=_LITE_MEAN, std=_LITE_STD),
    "pixels_16": Recipe(resize=(16, 16), crop=None, mean=(0.0,) * 3, std=(1.0,) * 3),
}
