"""timm's networks by name: timm's preprocessing or none, and files of those with more than one classifier."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as F

from extract.images.transforms import make_pixels, normalise
from extract.loading import load, load_head
from extract.models.from_timm import heads_of, recipe_of
from store.errors import BadValue, UnknownName

timm = pytest.importorskip("timm")


def settings_of(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    known = timm.models.get_pretrained_cfg(name)
    cfg = known.to_dict() if known else {}
    return cfg, timm.data.resolve_data_config(pretrained_cfg=cfg)


def test_every_name_has_timms_preprocessing_or_is_refused_with_a_reason() -> None:
    names = dict.fromkeys([*timm.list_models(), *timm.list_pretrained()])
    refused: dict[str, str] = {}
    for name in names:
        cfg, settings = settings_of(name)
        assert isinstance(heads_of(cfg), str)
        resize, crop, *_, scale = timm.data.create_transform(**settings, is_training=False).transforms
        try:
            recipe = recipe_of(f"timm:{name}", settings)
        except BadValue as error:
            refused[name] = str(error)
            continue
        assert (type(resize).__name__, type(crop).__name__) == ("Resize", "CenterCrop"), name
        assert recipe.resize == resize.size, name
        assert (recipe.crop or recipe.resize) in (crop.size[0], tuple(crop.size)), name
        assert recipe.interpolation == resize.interpolation.value, name
        assert np.allclose((recipe.mean, recipe.std), (scale.mean, scale.std)), name
    assert len(names) > 3000
    assert {name.partition(".")[0].removesuffix("_enc").removesuffix("_align") for name in refused} == {
        "deepseek_vit_412m"
    }
    assert all("timm:deepseek_vit_412m" in why and "border" in why for why in refused.values())


@pytest.mark.parametrize(
    "name",
    [
        "dm_nfnet_f0",
        "tf_efficientnetv2_b3",
        "vit_base_patch16_sapiens2",
        "volo_d4_448",
        "resnet50",
        "beit_base_patch16_384",
    ],
)
def test_pixels_are_timms(name: str) -> None:
    """One of 255 apart at most where ours resizes on tensors."""
    settings = settings_of(name)[1]
    transform, recipe = timm.data.create_transform(**settings, is_training=False), recipe_of(name, settings)
    rng = np.random.default_rng(0)
    for size in ((400, 300), (333, 500), (250, 251)):
        picture = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)).resize(
            size, Image.Resampling.BICUBIC
        )
        want = transform(picture)
        found = normalise(make_pixels(F.pil_to_tensor(picture), recipe, "a")[None], recipe)[0]
        assert found.shape == want.shape
        assert (found - want).abs().max() <= 1.01 / 255 / min(recipe.std)


def test_a_crop_that_is_neither_square_nor_squashed_is_refused() -> None:
    settings = settings_of("vit_base_patch16_sapiens2")[1]
    for change in ({"crop_pct": 0.9}, {"crop_mode": "center"}):
        with pytest.raises(BadValue, match="timm:x takes a crop of 1024 x 768 pixels; crops are square here"):
            recipe_of("timm:x", settings | change)
    with pytest.raises(BadValue, match="timm:x takes images of 1 channels"):
        recipe_of("timm:x", settings | {"input_size": (1, 224, 224)})
    with pytest.raises(BadValue, match="timm:x resizes by lanczos"):
        recipe_of("timm:x", settings | {"interpolation": "lanczos"})


@pytest.mark.parametrize("name", ["deit_tiny_distilled_patch16_224", "levit_128s"])
def test_a_file_of_a_network_with_several_classifiers_loads(name: str, tmp_path: Path) -> None:
    with torch.device("meta"):
        net = timm.create_model(name, pretrained=False)
    torch.save(
        {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in net.state_dict().items()}, tmp_path / "w"
    )
    loaded = load(f"timm:{name}", weights=str(tmp_path / "w"))
    assert loaded.dim == net.num_features if isinstance(net.num_features, int) else loaded.dim > 0
    with pytest.raises(BadValue, match="these weights hold no classifier"):
        load_head(f"timm:{name}", weights=str(tmp_path / "w"))


def test_a_tag_that_it_does_not_have_is_told() -> None:
    with pytest.raises(UnknownName, match=r"'resnet50.a1_in1'; nearest: resnet50.a1_in1k"):
        load("timm:resnet50.a1_in1")
    with pytest.raises(BadValue, match=r"timm:deepseek_vit_412m pads images to a square"):
        load("timm:deepseek_vit_412m", weights="any.pth")
