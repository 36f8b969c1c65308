"""A picture of any mode and depth as 8-bit RGB, by the rules in docs/PROTOCOLS.md; what has no rule is refused."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from extract.images.opening import PHOTOMETRIC, most_sample, refuse_float, told_as_bad

STRIP = 1 << 24
"""Pixels that are converted at a time: a large picture is in memory once in its own mode and once as RGB."""
MIN_IS_WHITE = 0


class Grey(NamedTuple):
    """What the numbers of a picture with more than 8 bits of grey mean."""

    white: int = 65535
    inverted: bool = False


def to_rgb(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 of a picture whose pixels are loaded. Raises `BadImage`: float, or of no known mode."""
    if image.mode == "F":
        refuse_float()
    width, height = image.size
    grey, rows = _grey(image), max(1, STRIP // max(1, width))
    with told_as_bad():
        if height <= rows:
            return np.array(_to_rgb(image, grey))
        rgb = np.empty((height, width, 3), np.uint8)
        for top in range(0, height, rows):
            rgb[top : top + rows] = np.array(_to_rgb(image.crop((0, top, width, min(top + rows, height))), grey))
    return rgb


def _grey(image: Image.Image) -> Grey:
    """By the tags of a TIFF, which Pillow heeds for 8 bits, and not for 16."""
    if image.format != "TIFF":
        return Grey()
    tags = image.tag_v2  # type: ignore[attr-defined]
    return Grey(most_sample(tags) or 65535, tags.get(PHOTOMETRIC) == MIN_IS_WHITE)


def _to_rgb(image: Image.Image, grey: Grey) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image, np.float64)
        levels = np.rint((values / (grey.white / 255)).clip(0, 255)).astype(np.uint8)
        if grey.inverted:
            levels = 255 - levels
        if "transparency" in image.info:
            levels[values == image.info["transparency"]] = 255
        return Image.fromarray(levels).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
