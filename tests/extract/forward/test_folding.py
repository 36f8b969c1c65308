import warnings

import pytest
import torch
from torch import nn

from extract.forward.folding import fold_batchnorm
from extract.loading import load


def randomise(net: nn.Module) -> None:
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)


@pytest.mark.parametrize(("name", "size", "folds"), [("efficientnet_lite0", 96, 49), ("random:resnet18", 64, 20)])
def test_the_folded_network_is_the_same_function(name: str, size: int, folds: int) -> None:
    net = load(name).net
    if name.startswith("random"):
        randomise(net)
    x = torch.rand(2, 3, size, size)
    with torch.inference_mode():
        want = net(x)
        assert fold_batchnorm(net) == folds
        torch.testing.assert_close(net(x), want, rtol=1e-4, atol=1e-5 * float(want.abs().max()))


def test_a_convolution_that_feeds_another_layer_too_stays() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)).eval()
    net.insert(2, net[0])  # runs twice
    assert fold_batchnorm(net) == 1


class Own(nn.Module):
    """A user's network, whose forward is for tensors alone."""

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4) if norm else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert type(x) is torch.Tensor
        assert not x.is_meta
        return self.norm(self.conv(x))


@pytest.mark.parametrize("norm", [True, False])
def test_code_that_is_not_known_is_neither_traced_nor_changed(norm: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(Own, "forward", lambda _self, x: calls.append(x))
    own = Own(norm).eval()
    inside = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), own, own.conv).eval()
    assert (fold_batchnorm(own), fold_batchnorm(inside)) == (0, 1)
    assert isinstance(own.norm, nn.BatchNorm2d) == norm
    assert calls == []


def test_a_network_without_batch_normalisation_is_not_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extract.forward.folding._Tracer", None)
    assert fold_batchnorm(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4))) == 0


def test_script_modules_and_what_hooks_look_at_stay() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(net)
    assert (fold_batchnorm(scripted), fold_batchnorm(nn.Sequential(scripted))) == (0, 0)
    net[0].register_forward_hook(lambda *_: None)
    assert fold_batchnorm(net) == 0
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)).eval()
    assert fold_batchnorm(net) == 0
