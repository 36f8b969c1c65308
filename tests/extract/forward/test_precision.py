import logging

import numpy as np
import pytest
import torch
from torch import nn

from extract.forward.precision import Forward, compare, largest_batch, pick_device, pick_precision, reference
from extract.images.recipes import RECIPES
from extract.loading import load
from store.errors import BadValue

CPU, RECIPE = torch.device("cpu"), RECIPES["pixels_16"]


class Flat(nn.Module):
    """A backbone that is out of memory beyond `fits` images."""

    def __init__(self, fits: int = 1000) -> None:
        super().__init__()
        self.fits = fits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.fits:
            raise torch.OutOfMemoryError("made")
        return x.flatten(1)


def pixels(count: int) -> list[torch.Tensor]:
    return list(
        torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    )


def test_an_image_does_not_see_its_batch() -> None:
    loaded = load("random:conv4")
    images = list(torch.randint(0, 256, (5, 3, 84, 84), dtype=torch.uint8))
    forward = Forward(loaded.net, loaded.dim, CPU)
    together = forward(images, loaded.recipe, 8)
    assert together.dtype == np.float32
    assert together.shape == (5, loaded.dim)
    for i, image in enumerate(images):
        assert np.array_equal(forward([image], loaded.recipe, 8)[0], together[i])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_precision_classes_are_near_float32(precision: str) -> None:
    loaded = load("random:resnet10")
    images = list(torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)))
    want = reference(loaded.net, images, loaded.recipe, CPU)
    got = Forward(loaded.net, loaded.dim, CPU, precision)(images, loaded.recipe, 4)
    error = compare(got, want)
    assert error["images"] == 4
    if precision == "fp32":
        assert error["max"] < 1e-5
        assert error["cosine"] > 0.999999
    else:
        assert 1e-5 < error["max"] < 0.1, "bfloat16 really was used"
        assert error["cosine"] > 0.99


def test_compare() -> None:
    x = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    assert compare(x, x) == {"max": 0.0, "cosine": 1.0, "images": 200}
    turned = x.copy()
    turned[:10] *= -1
    assert compare(turned, x)["cosine"] < -0.9
    assert compare(np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32))["cosine"] == 1.0
    broken = x.copy()
    broken[3] = np.nan
    assert compare(broken, x)["cosine"] == 0.0


def test_the_batch_is_halved_until_it_fits(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert largest_batch(Forward(Flat(fits=10), 768, CPU), RECIPE, 64) == 8
    assert "out of memory on cpu: batch size is now 32" in caplog.text
    with pytest.raises(BadValue, match="not one image of 16x16 fits into the memory of cpu"):
        largest_batch(Forward(Flat(fits=0), 768, CPU), RECIPE, 4)


def test_a_backbone_that_returns_another_shape_is_refused() -> None:
    with pytest.raises(BadValue, match=r"returns \(4, 768\) for \(4, 3, 16, 16\), must return \(4, 99\)"):
        Forward(Flat(), 99, CPU)(pixels(2), RECIPE, 4)


def test_device_and_precision() -> None:
    assert pick_device("cpu") == CPU
    assert pick_precision("fp16", CPU) == "fp16"
    assert pick_precision("auto", CPU) in ("fp32", "bf16")
    with pytest.raises(BadValue, match=r"device 'nowhere' cannot be used here: .*--device auto"):
        pick_device("nowhere")


def test_mps_is_taken_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("mps")
    assert pick_precision("auto", torch.device("mps")) == "fp32"


def test_mps_runs_out_of_memory_in_words() -> None:
    class Mps(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > 2:
                raise RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)")
            if len(x) > 1:
                raise RuntimeError("something else")
            return x.flatten(1)

    with pytest.raises(RuntimeError, match="something else"):
        largest_batch(Forward(Mps(), 768, CPU), RECIPE, 8)
    assert largest_batch(Forward(Mps(), 768, CPU), RECIPE, 1) == 1


@pytest.mark.gpu
def test_cuda_is_near_the_cpu() -> None:
    loaded = load("random:resnet10")
    images = list(torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8))
    want = reference(loaded.net, images, loaded.recipe, CPU)
    device = pick_device("cuda")
    got = Forward(loaded.net, loaded.dim, device, pick_precision("auto", device))(images, loaded.recipe, 4)
    assert compare(got, want)["cosine"] > 0.999
