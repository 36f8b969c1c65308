"""Augmented views: what is random about an image, drawn from hash(seed, view, sample id) and nothing else.

So every backbone, worker count, order of the images and resumed run sees the same crop. The numbers come out of
SHAKE-256 and not out of a library's generator: they stay the same for ever.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from extract.images.recipes import Recipe

ATTEMPTS = 10
"""Boxes that torchvision's RandomResizedCrop tries before it falls back to the middle."""
_ENHANCE = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


@dataclass(frozen=True)
class Draw:
    """One image's random numbers, uniform in [0, 1)."""

    flip: float
    jitter: tuple[float, ...]
    """Brightness, contrast, colour."""
    boxes: np.ndarray
    """(ATTEMPTS, 4): area, ratio, top, left."""


def draw(recipe: Recipe, sample: str) -> Draw:
    """The random numbers of a sample in the recipe's view."""
    count = 1 + len(_ENHANCE) + 4 * ATTEMPTS
    digest = hashlib.shake_256(f"{recipe.seed}/{recipe.view}/{sample}".encode()).digest(8 * count)
    uniform = (np.frombuffer(digest, "<u8") >> 11) * 2.0**-53
    flip, jitter, boxes = uniform[0], uniform[1 : 1 + len(_ENHANCE)], uniform[1 + len(_ENHANCE) :]
    return Draw(float(flip), tuple(jitter.tolist()), boxes.reshape(ATTEMPTS, 4))


def crop_box(recipe: Recipe, drawn: Draw, height: int, width: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the crop, chosen as torchvision's RandomResizedCrop.get_params chooses it."""
    assert recipe.augment is not None
    (least, most), (narrow, broad) = recipe.augment.scale, recipe.augment.ratio
    for area, ratio, top, left in drawn.boxes.tolist():
        pixels = height * width * (least + (most - least) * area)
        aspect = math.exp(math.log(narrow) + (math.log(broad) - math.log(narrow)) * ratio)
        w, h = round(math.sqrt(pixels * aspect)), round(math.sqrt(pixels / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(top * (height - h + 1)), int(left * (width - w + 1)), h, w
    w, h = width, height  # the middle, as wide or as high as the ratios allow
    if width / height < narrow:
        h = round(width / narrow)
    elif width / height > broad:
        w = round(height * broad)
    return (height - h) // 2, (width - w) // 2, h, w


def jitter(image: Image.Image, strength: float, drawn: Draw) -> Image.Image:
    """Brightness, then contrast, then colour, as CloserLookFewShot data/additional_transforms.py."""
    for enhance, uniform in zip(_ENHANCE, drawn.jitter, strict=True):
        image = enhance(image).enhance(1 + strength * (2 * uniform - 1))
    return image
