import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from extract.images.recipes import RECIPES
from extract.images.transforms import input_size, make_pixels, normalise

MODES = {"bilinear": transforms.InterpolationMode.BILINEAR, "bicubic": transforms.InterpolationMode.BICUBIC}


def photo(height: int, width: int) -> np.ndarray:
    """Smooth structure and noise, so that both low and high frequencies are resampled."""
    rng = np.random.default_rng([height, width])
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(x / 17 + c) + np.cos(y / (11 + c)) for c in range(3)], axis=2)
    return (127 + 50 * waves + rng.normal(0, 20, (height, width, 3))).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("size", [(375, 500), (600, 300), (97, 64), (8, 8), (1, 1)], ids=str)
def test_pixels_are_those_of_torchvision_on_pil_images(name: str, size: tuple[int, int]) -> None:
    recipe = RECIPES[name]
    image = photo(*size)
    steps = []
    if recipe.resize is not None:
        steps.append(transforms.Resize(recipe.resize, MODES[recipe.interpolation]))
    if recipe.crop is not None:
        steps.append(transforms.CenterCrop(recipe.crop))
    want = np.asarray(transforms.Compose(steps)(Image.fromarray(image)))
    got = make_pixels(torch.from_numpy(image.transpose(2, 0, 1).copy()), recipe, "x").permute(1, 2, 0).numpy()
    assert got.shape == want.shape == (*input_size(recipe), 3)
    assert np.abs(got.astype(int) - want).max() <= 1


def test_normalise_is_that_of_torchvision() -> None:
    recipe = RECIPES["imagenet_224"]
    image = photo(30, 40)
    want = transforms.Compose([transforms.ToTensor(), transforms.Normalize(recipe.mean, recipe.std)])(
        Image.fromarray(image)
    )
    got = normalise(torch.from_numpy(image.transpose(2, 0, 1).copy())[None], recipe)[0]
    torch.testing.assert_close(got, want)
