"""Models of torchvision and timm: their own weights, preprocessing and classifier, under our strictness."""

import re
from pathlib import Path

import pytest
import torch
from torchvision import models

from extract.loading import load, load_head
from store.errors import BadValue


def images(size: int = 64) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def test_a_file_of_torchvision_loads_with_its_preprocessing_and_classifier(tmp_path: Path):
    net = models.resnet18(weights=None).eval()
    torch.save(net.state_dict(), tmp_path / "r.pth")
    loaded = load("torchvision:resnet18", weights=str(tmp_path / "r.pth"))
    weight_CD, bias_C = load_head("torchvision:resnet18", weights=str(tmp_path / "r.pth"))
    with torch.inference_mode():
        x_BD = loaded.net(images())
        assert torch.allclose(x_BD @ torch.tensor(weight_CD).T + torch.tensor(bias_C), net(images()), atol=1e-5)
    assert (loaded.dim, loaded.architecture) == (512, "torchvision:resnet18")
    assert (loaded.recipe.resize, loaded.recipe.crop, loaded.recipe.interpolation) == (256, 224, "bilinear")


def test_the_download_or_the_file_is_asked_for(tmp_path: Path):
    text = (
        "no weights of torchvision:resnet18 below .*: run  python -m extract.download torchvision:resnet18  "
        r"\(https://download.pytorch.org/models/resnet18-f37072fd.pth\); offline, put that file at "
        f"{re.escape(str(tmp_path))}/torchvision/resnet18-f37072fd.pth"
    )
    with pytest.raises(BadValue, match=text):
        load("torchvision:resnet18", weights_root=str(tmp_path))


def test_the_hash_in_torchvisions_file_name_is_checked(tmp_path: Path):
    (tmp_path / "torchvision").mkdir()
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "torchvision" / "resnet18-f37072fd.pth")
    with pytest.raises(BadValue, match="that of torchvision:resnet18 is f37072fd: it is damaged, or another file"):
        load("torchvision:resnet18", weights_root=str(tmp_path))


def test_densenets_names_of_2017_are_understood(tmp_path: Path):
    net = models.densenet121(weights=None).eval()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", key): v for key, v in net.state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save({key: value for key, value in old.items() if "num_batches" not in key}, tmp_path / "d.pth")
    loaded = load("torchvision:densenet121", weights=str(tmp_path / "d.pth"))
    with torch.inference_mode():
        assert torch.allclose(net.classifier(loaded.net(images())), net(images()), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "dim"),
    [("convnext_tiny", 768), ("mobilenet_v3_small", 1024), ("regnet_y_400mf", 440), ("shufflenet_v2_x0_5", 1024)],
)
def test_other_families_end_before_their_last_linear_layer(name: str, dim: int, tmp_path: Path):
    net = models.get_model(name, weights=None)
    torch.save(net.state_dict(), tmp_path / "n.pth")
    assert load(f"torchvision:{name}", weights=str(tmp_path / "n.pth")).dim == dim


def test_a_network_without_a_linear_layer_is_told_so(tmp_path: Path):
    with pytest.raises(BadValue, match=r"squeezenet1_0 ends in no linear layer.*module:function"):
        load("torchvision:squeezenet1_0", weights_root=str(tmp_path))


def test_a_file_of_timm_loads_with_its_preprocessing_and_classifier(tmp_path: Path):
    timm = pytest.importorskip("timm")
    safetensors = pytest.importorskip("safetensors.torch")
    net = timm.create_model("resnet10t", pretrained=False).eval()
    safetensors.save_file(net.state_dict(), tmp_path / "m.safetensors")
    loaded = load("timm:resnet10t", weights=str(tmp_path / "m.safetensors"))
    weight_CD, bias_C = load_head("timm:resnet10t", weights=str(tmp_path / "m.safetensors"))
    with torch.inference_mode():
        logits_BC = loaded.net(images()) @ torch.tensor(weight_CD).T + torch.tensor(bias_C)
        assert torch.allclose(logits_BC, net(images()), atol=1e-5)
    assert loaded.dim == 512
    settings = timm.data.resolve_model_data_config(net)
    resize, crop = timm.data.create_transform(**settings, is_training=False).transforms[:2]
    assert (loaded.recipe.resize, loaded.recipe.crop) == (resize.size, crop.size[0])


def test_a_wrong_file_is_told_so(tmp_path: Path):
    torch.save(models.resnet34(weights=None).state_dict(), tmp_path / "r.pth")
    with pytest.raises(BadValue, match=r"does not fit torchvision:resnet18: .* keys of the file are unknown: layer1.2"):
        load("torchvision:resnet18", weights=str(tmp_path / "r.pth"))
