import ctypes
import logging
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from extract.datasets.common import Images
from extract.forward.network import Network
from extract.forward.taps import OWN
from extract.images.recipes import RECIPES
from extract.loading import Loaded
from store.errors import BadValue
from store.samples import Samples

CPU, PIXELS = torch.device("cpu"), RECIPES["pixels_16"]


class Fragile(nn.Module):
    """Its output turns around in bfloat16."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.flatten(1)
        return -y if torch.is_autocast_enabled("cpu") else y


def loaded() -> Loaded:
    return Loaded(name="fragile", filled=Fragile, dim=768, weights_sha256="0", architecture="made", recipe=PIXELS)


def images(*bad: int) -> Images:
    pictures = np.random.default_rng(0).integers(0, 256, (30, 20, 20, 3), dtype=np.uint8)
    samples = Samples("toy", "train", [str(i) for i in range(30)], np.full(30, 1200))
    return Images(samples, lambda row: b"broken" if row in bad else pictures[row])


def test_what_is_not_close_enough_falls_back_loudly(monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("extract.forward.network.pick_precision", lambda asked, device: "bf16")
    net = Network(loaded, CPU, "auto")
    with caplog.at_level(logging.WARNING):
        forward = net.ready(images(), PIXELS)
    assert "fragile in bf16: the cosine with float32 is -1.00000, less than 0.999: falling back" in caplog.text
    assert (net.precision, forward.precision) == ("fp32", "fp32")
    assert net.errors == [{"max": 0.0, "cosine": 1.0, "images": 16}]
    assert net.ready(images(), PIXELS) is forward


def test_what_was_asked_for_by_name_is_refused() -> None:
    with pytest.raises(BadValue, match=r"must be at least 0\.999: --precision auto or fp32"):
        Network(loaded, CPU, "bf16").ready(images(), PIXELS)


def test_bad_images_are_passed_over() -> None:
    net = Network(loaded, CPU, "fp32")
    net.ready(images(0, 1, 2, *range(10, 28)), PIXELS)
    assert net.errors[0]["images"] == 9
    net = Network(loaded, CPU, "fp32")
    net.ready(images(*range(30)), PIXELS)
    assert net.errors == [{}]


@pytest.mark.parametrize(("sound", "folded"), [(True, 1), (False, 0)])
def test_the_fallback_keeps_folding_unless_that_was_wrong(
    monkeypatch: pytest.MonkeyPatch, *, sound: bool, folded: int
) -> None:
    """Float32 with folded batch normalisation is faster, and is checked as well."""

    class Folds(Fragile):
        turned = False

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = super().forward(x)
            return y.flip(1) if self.turned else y

    def fold(net: Folds, keep: object = ()) -> None:
        net.folded, net.turned = 1, not sound

    monkeypatch.setattr("extract.forward.network.pick_precision", lambda asked, device: "bf16")
    monkeypatch.setattr("extract.forward.network.fold_batchnorm", fold)
    net = Network(lambda: replace(loaded(), filled=Folds), CPU, "auto")
    forward = net.ready(images(), PIXELS)
    assert net.errors[0]["cosine"] == 1.0
    assert getattr(forward.net, "folded", 0) == folded


class Views(nn.Module):
    """A user's network that counts on how its maps lie in memory: `view`, or a pointer that is given away."""

    def __init__(self, by_pointer: bool) -> None:
        super().__init__()
        self.by_pointer = by_pointer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert type(x) is torch.Tensor
        assert not x.is_meta
        if not self.by_pointer:
            return x.view(len(x), -1)
        flat = (ctypes.c_float * x.numel()).from_address(x.data_ptr())
        return torch.from_numpy(np.ctypeslib.as_array(flat).reshape(len(x), -1).copy())


@pytest.mark.parametrize("by_pointer", [True, False])
def test_a_users_network_may_count_on_the_order_of_memory(by_pointer: bool) -> None:
    net = Network(lambda: replace(loaded(), filled=partial(Views, by_pointer)), CPU, "fp32")
    forward = net.ready(images(), PIXELS)
    assert net.errors[0]["cosine"] == pytest.approx(1)
    assert forward.layout == torch.contiguous_format
    assert net.cost(PIXELS) == {"parameters": 0}
    tapped = Network(lambda: replace(loaded(), filled=partial(Views, by_pointer)), CPU, "fp32", [OWN, OWN])
    assert tapped.ready(images(), PIXELS).dim == 2 * 768


class Picky(nn.Module):
    """Takes one image at a time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(1, 768)


def test_what_fails_in_a_users_network_is_told() -> None:
    net = Network(lambda: replace(loaded(), filled=Picky), CPU, "auto")
    with pytest.raises(BadValue, match=r"fragile, given 16 images, failed in line \d+ of .*: RuntimeError"):
        net.ready(images(), PIXELS)


def test_a_script_module_is_a_network(caplog: pytest.LogCaptureFixture) -> None:
    made = nn.Sequential(nn.Conv2d(3, 48, 4, 4), nn.BatchNorm2d(48), nn.Flatten())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripts = [torch.jit.script(made), torch.jit.trace(made.eval(), torch.zeros(2, 3, 16, 16))]
        scripts.append(torch.jit.freeze(scripts[0].eval()))
    want = made.state_dict()
    for script in scripts:
        net = Network(lambda script=script: replace(loaded(), filled=lambda: script), CPU, "fp32")  # type: ignore[misc]
        assert net.ready(images(), PIXELS).layout == torch.contiguous_format
        assert net.errors[0]["cosine"] == pytest.approx(1)
        assert not any(parameter.requires_grad for parameter in net.loaded.net.parameters())
        for key, value in script.state_dict().items():
            assert torch.equal(value, want[key])
    assert not [one for one in caplog.records if one.levelname == "WARNING"]


class Numpy(nn.Module):
    """A user's network that hands its maps to numpy, which knows no bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 768, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.conv(x).flatten(1).numpy())


def test_a_users_network_that_cannot_be_run_in_bfloat16_is_run_in_float32(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("extract.forward.network.pick_precision", lambda asked, device: "bf16")
    net = Network(lambda: replace(loaded(), filled=Numpy), CPU, "auto")
    assert net.ready(images(), PIXELS).precision == net.precision == "fp32"
    assert net.errors[0]["cosine"] == pytest.approx(1)
    assert "fragile cannot be run in bf16 (fragile, given 16 images, failed in line" in caplog.text
    with pytest.raises(BadValue, match="unsupported ScalarType BFloat16"):
        Network(lambda: replace(loaded(), filled=Numpy), CPU, "bf16").ready(images(), PIXELS)
