import numpy as np
import pytest
import torch
from torch import nn

from extract.forward.tapped import Tapped, pool, resolve
from extract.forward.taps import OWN, Tap
from extract.loading import load
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
