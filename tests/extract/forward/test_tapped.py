import math
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from extract.forward.tapped import Tapped, is_channels_last, pool, prefix_tokens, resolve
from extract.forward.taps import OWN, Tap
from extract.loading import build_network, load
from extract.models.foreign import build_foreign
from extract.models.joint import SideBySide
from store.errors import BadValue, UnknownName


def test_several_taps_are_what_the_layers_give() -> None:
    net = load("random:resnet10").net
    asked = [OWN, Tap("layer2"), Tap("bn1", "max"), Tap("", "mean")]
    asked[1] = Tap("layer2", "mean")
    found = resolve("net", net, asked, (64, 64))
    assert found == [(OWN, 512), (asked[1], 128), (asked[2], 64), (Tap("layer4", "mean"), 512)]
    x = torch.randn(2, 3, 64, 64)
    got = Tapped(net, [tap for tap, _ in found])(x)
    stem = net.bn1(net.conv1(x))
    second = net.layer2(net.layer1(net.maxpool(net.relu(stem.clone()))))
    want = torch.cat([net(x), second.mean((2, 3)), stem.amax((2, 3)), net(x)], dim=1)
    assert got.shape == want.shape
    assert torch.allclose(got, want, atol=1e-5), "bn1 is pooled before the ReLU works in place"


def test_patches_of_a_transformer() -> None:
    net = load("random:vit_b16_224").net
    net.encoder.layers = net.encoder.layers[:1]  # one block is enough
    taps = [OWN, Tap("", "mean"), Tap("", "cls")]
    found = resolve("net", net, taps, (224, 224))
    assert [(tap.layer, dim) for tap, dim in found] == [("features", 768), ("encoder", 768), ("encoder", 768)]
    with torch.inference_mode():
        own, mean, cls = Tapped(net, [tap for tap, _ in found])(torch.randn(1, 3, 224, 224)).split(768, dim=1)
    assert torch.equal(own, cls)
    assert not torch.allclose(own, mean, atol=1e-3)


def test_what_cannot_be_pooled_is_refused() -> None:
    net = load("random:resnet10").net
    with pytest.raises(UnknownName, match=r"unknown layer 'layer9'; nearest: layer\d.*conv1, bn1"):
        resolve("net", net, [Tap("layer9", "mean")], (64, 64))
    with pytest.raises(BadValue, match=r"layer 'layer1' gives \[1, 64, 16, 16\] without a class token: pool by mean"):
        resolve("net", net, [Tap("layer1", "cls")], (64, 64))
    with pytest.raises(BadValue, match="layer 'x' gives tuple: take one that gives"):
        pool((torch.zeros(1), torch.zeros(1)), Tap("x", "mean"), 0)
    with pytest.raises(UnknownName, match="unknown layer ''"):
        resolve("net", nn.Sequential(nn.Flatten()), [Tap("", "mean")], (8, 8))


def test_closing_leaves_the_network_as_it_was() -> None:
    net = load("random:conv4").net
    tapped = Tapped(net, [Tap("0", "mean")])
    tapped.close()
    assert not any(module._forward_hooks for module in net.modules())
    assert isinstance(net(torch.zeros(1, 3, 84, 84)).numpy(), np.ndarray)


@pytest.mark.parametrize(
    ("name", "layer", "dim", "last"),
    [
        ("timm:swin_tiny_patch4_window7_224", "layers.3", 768, True),
        ("timm:swin_tiny_patch4_window7_224", "layers.0", 96, True),
        ("timm:swin_tiny_patch4_window7_224", "patch_embed", 96, True),
        ("timm:swin_tiny_patch4_window7_224", "norm", 768, True),
        ("timm:swin_tiny_patch4_window7_224", "", 768, True),
        ("timm:swinv2_tiny_window8_256", "", 768, True),
        ("timm:convnext_atto", "stages.3", 320, False),
        ("timm:convnext_tiny", "stages.1.blocks.0.norm", 192, True),
        ("timm:volo_d1_224", "network.0", 192, True),
        ("timm:regnety_002", "s1", 24, False),
        ("torchvision:swin_t", "features.7", 768, True),
        ("torchvision:swin_t", "norm", 768, True),
        ("torchvision:swin_t", "", 768, False),
        ("torchvision:convnext_tiny", "features", 768, False),
    ],
)
def test_the_axis_of_the_channels_is_found(name: str, layer: str, dim: int, last: bool) -> None:
    size = 256 if "256" in name else 224
    net = library_net(name)
    ((tap, found),) = resolve(name, net, [Tap(layer, "mean")], (size, size))
    assert (found, tap.channels_last) == (dim, last)


@cache
def library_net(name: str) -> nn.Module:
    with torch.device("meta"):
        return build_foreign(name, given=True).net.eval()


class Maps(nn.Module):
    """One layer that gives what it is told to."""

    def __init__(self, shape: tuple[int, ...], output_fmt: str = "") -> None:
        super().__init__()
        self.shape, self.layer, self.output_fmt = shape, nn.Identity(), output_fmt

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.arange(math.prod(self.shape)).float().reshape(self.shape)).flatten(1)


def test_maps_are_pooled_over_their_places() -> None:
    for shape, axes in (((1, 6, 4, 4), (2, 3)), ((1, 4, 4, 6), (1, 2)), ((1, 1, 1, 6), (1, 2)), ((1, 6, 1, 1), (2, 3))):
        net = Maps(shape)
        ((tap, dim),) = resolve("net", net, [Tap("layer", "mean")], (8, 8))
        assert dim == 6
        want = torch.arange(math.prod(shape)).float().reshape(shape).mean(axes)
        assert torch.equal(Tapped(net, [tap])(torch.zeros(1, 3, 8, 8)), want)
    wide = [resolve("net", Maps(shape), [Tap("layer", "max")], (8, 16)) for shape in ((1, 5, 2, 4), (1, 2, 4, 5))]
    assert [(tap.channels_last, dim) for ((tap, dim),) in wide] == [(False, 5), (True, 5)]


def test_where_all_sides_are_alike_the_network_says_or_channels_come_first() -> None:
    for fmt, last in (("", False), ("NCHW", False), ("NHWC", True)):
        assert is_channels_last(Maps((1, 4, 4, 4), fmt), "layer", (1, 4, 4, 4), (8, 8)) == last


def test_what_has_no_clear_axes_or_mixes_images_is_refused() -> None:
    for shape, says in (
        ((1, 16, 49, 32), "which of these are its height and width cannot be told"),
        ((64, 49, 32), "for one image: take one that keeps them apart"),
    ):
        with pytest.raises(BadValue, match=says):
            resolve("net", Maps(shape), [Tap("layer", "mean")], (56, 56))


def test_registers_are_no_class_token_and_a_wrapped_transformers_tokens_are_known() -> None:
    net = library_net("timm:vit_base_patch16_reg4_gap_256")
    with pytest.raises(BadValue, match="without a class token: pool by mean or max"):
        resolve("net", net, [Tap("blocks.0", "cls")], (256, 256))
    with torch.device("meta"):
        pair = SideBySide([build_network("vit_b16_224"), nn.Flatten()])
    assert prefix_tokens(pair, "model0.encoder") == (1, True)
    assert prefix_tokens(pair, "model1") == (0, False)
    assert prefix_tokens(net, "blocks.0") == (4, False)


def test_another_axis_is_another_fingerprint() -> None:
    assert OWN.pools == "avg"
    assert Tap("norm", "mean").pools == "mean"
    assert Tap("norm", "mean", channels_last=True).pools == "mean of (B, H, W, C)"
