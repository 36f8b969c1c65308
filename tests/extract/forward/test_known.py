"""Whose code a network runs."""

from types import MethodType

import pytest
import torch
from torch import nn
from torchvision.models import ResNet, resnet18
from torchvision.models.resnet import BasicBlock

from extract.forward.folding import fold_batchnorm
from extract.forward.known import all_known, is_known
from extract.loading import build_network


class Features(ResNet):
    """A user's, whose forward is torchvision's, but not what that calls."""

    def _forward_impl(self, x: torch.Tensor) -> torch.Tensor:
        assert type(x) is torch.Tensor
        return self.avgpool(self.layer4(x)).flatten(1)


def patched(name: str) -> nn.Module:
    net = resnet18()
    setattr(net, name, MethodType(Features._forward_impl, net))
    return net


@pytest.mark.parametrize("arch", ["resnet10", "conv4", "densenet121", "vit_b16_224", "2resnet50", "regnety_32gf"])
def test_our_networks_are_known(arch: str) -> None:
    with torch.device("meta"):
        assert all_known(build_network(arch))


@pytest.mark.parametrize(
    "name",
    [
        "efficientnet_b0",
        "resnet50",
        "convnext_atto",
        "swin_tiny_patch4_window7_224",
        "vit_tiny_patch16_224",
        "fasternet_t0",
    ],
)
def test_timms_networks_are_known(name: str) -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        net = timm.create_model(name, num_classes=0)
    assert [type(module).__name__ for module in net.modules() if not is_known(module)] == []


def test_a_known_forward_that_calls_a_users_code_is_not_known() -> None:
    own = Features(BasicBlock, [1, 1, 1, 1])
    for net in (own, nn.Sequential(own), patched("_forward_impl"), patched("forward")):
        assert not all_known(net)
        assert fold_batchnorm(net.eval()) == 0
    assert all_known(resnet18())
