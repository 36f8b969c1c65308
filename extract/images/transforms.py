"""What a recipe does to an image: within 1 of 255 of torchvision's transforms on PIL images.

Bilinear resizing runs on uint8 tensors, several times faster than PIL. Bicubic stays with PIL: on tensors its
overshoots come out up to 2 apart; so does what is jittered, which would enlarge a difference of 1. Normalising runs on
the device.
"""

import torch
from torchvision.transforms.v2 import functional as F
from torchvision.transforms.v2.functional import InterpolationMode

from extract.images.recipes import Recipe
from extract.images.views import crop_box, draw, jitter
from store.errors import BadImage

MAX_RESIZED = 1 << 26
"""Pixels of a resized picture, before it is cropped: 200 MB."""


def make_pixels(image: torch.Tensor, recipe: Recipe, sample: str) -> torch.Tensor:
    """(3, H, W) uint8 -> (3, h, w) uint8: the evaluation crop, or the view that the recipe names, of this sample."""
    pixels = random_crop(image, recipe, sample) if recipe.view else crop_and_resize(image, recipe)
    return _dense(pixels)  # a batch of them is stacked by plain copies


def crop_and_resize(image: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """(3, H, W) uint8 -> (3, h, w) uint8: resize (antialiased), then the centre crop, as torchvision's eval chain.

    Raises: BadImage: a picture so narrow that its other side would be resized to millions of pixels.
    """
    if isinstance(recipe.resize, int):
        short, long = sorted(image.shape[1:])
        if recipe.resize * (recipe.resize * long // short) > MAX_RESIZED:
            raise BadImage(
                f"{image.shape[2]} x {image.shape[1]} pixels are too narrow to be resized to {recipe.resize}"
            )
    if recipe.resize is not None:
        image = _resize(image, [recipe.resize] if isinstance(recipe.resize, int) else list(recipe.resize), recipe)
    if recipe.crop is not None:
        image = F.center_crop(image, [recipe.crop, recipe.crop])
    return image


def random_crop(image: torch.Tensor, recipe: Recipe, sample: str) -> torch.Tensor:
    """(3, H, W) uint8 -> (3, h, w) uint8: crop, resize (antialiased), jitter, mirror, as upstream's training chain."""
    assert recipe.augment is not None
    drawn = draw(recipe, sample)
    top, left, height, width = crop_box(recipe, drawn, *image.shape[1:])
    image = _dense(image[:, top : top + height, left : left + width])  # what is not, is resized at half the speed
    image = _resize(image, list(input_size(recipe) or image.shape[1:]), recipe)
    if recipe.augment.jitter:
        image = F.pil_to_tensor(jitter(F.to_pil_image(image), recipe.augment.jitter, drawn))
    return image.flip(2) if drawn.flip < recipe.augment.flip else image


def input_size(recipe: Recipe) -> tuple[int, int] | None:
    """(height, width) of what `make_pixels` returns, where it is the same for every image."""
    if recipe.crop is not None:
        return recipe.crop, recipe.crop
    return recipe.resize if isinstance(recipe.resize, tuple) else None


def normalise(pixels: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """(B, 3, h, w) uint8 -> float32, (x / 255 - mean) / std per channel, on the tensor's device; channels last."""
    mean, std = torch.tensor([recipe.mean, recipe.std], dtype=torch.float64)
    width = pixels.shape[3]
    scale, shift = (row.float().to(pixels.device).repeat(width) for row in (1 / (255 * std), -mean / std))
    x_BHE = pixels.permute(0, 2, 3, 1).flatten(2)  # whole rows: a loop over 3 channels would be ten times slower
    return x_BHE.float().mul_(scale).add_(shift).view(*x_BHE.shape[:2], width, 3).permute(0, 3, 1, 2)


def _dense(image: torch.Tensor) -> torch.Tensor:
    """The same (3, H, W), channels last in memory and without gaps."""
    return image.permute(1, 2, 0).contiguous().permute(2, 0, 1)


def _resize(image: torch.Tensor, size: list[int], recipe: Recipe) -> torch.Tensor:
    mode = InterpolationMode(recipe.interpolation)
    on_pil = recipe.interpolation == "bicubic" or bool(recipe.view and recipe.augment and recipe.augment.jitter)
    resized = F.resize(F.to_pil_image(image) if on_pil else image, size, mode, antialias=True)
    pixels: torch.Tensor = F.pil_to_tensor(resized) if on_pil else resized
    return pixels
