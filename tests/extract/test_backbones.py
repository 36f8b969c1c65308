"""The table of backbones: names, aliases, families, and what a wrong name says."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from extract.backbones import ALIASES, BACKBONES, find_backbone, list_backbones
from extract.images.recipes import RECIPES
from extract.listing import backbone_table
from extract.models.architectures import ARCHITECTURES, find_architecture
from store.errors import BadValue, UnknownName


def test_every_row_names_things_that_exist():
    for name, row in BACKBONES.items():
        assert row.name == name
        assert row.dim == ARCHITECTURES[row.arch].dim
        assert row.recipe in RECIPES
    assert not set(ALIASES) & set(BACKBONES)
    assert set(ALIASES.values()) <= set(BACKBONES)


def test_a_typo_gets_the_nearest_names_and_the_command_that_lists_them():
    with pytest.raises(UnknownName, match=r"efficientnet_lit0.*nearest: efficientnet_lite0.*python -m extract --list"):
        find_backbone("efficientnet_lit0")
    with pytest.raises(UnknownName, match=r"architecture 'resnet5'; nearest: resnet50.*python -m extract --list"):
        find_backbone("random:resnet5")
    with pytest.raises(BadValue, match="lacks the name after the colon"):
        find_backbone("torchvision:")


def test_random_takes_an_architecture_or_a_backbone():
    assert find_backbone("random:resnet50").dim == 2048
    assert find_backbone("random:efficientnet_lite1").recipe == "lite1_240"


def test_the_table_needs_no_torch():
    code = "import sys, extract.backbones, extract.models; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_networks_come_in_any_size():
    from extract.loading import build_network

    for name, dim, filters in (("resnet18w0.5", 256, 32), ("conv4w2", 3200, 128), ("resnet50w2", 4096, 128)):
        row = find_architecture(name)
        assert row is not None
        assert row.dim == dim
        if name != "resnet50w2":
            assert next(build_network(name).parameters()).shape[0] == filters
    three = find_architecture("3resnet10w0.25")
    assert three is not None
    assert three.dim == 3 * 128
    nets = build_network("3resnet10w0.25").state_dict()
    assert not nets["model0.conv1.weight"].equal(nets["model1.conv1.weight"])
    assert (
        find_architecture("resnet10w") is find_architecture("1resnet10") is find_architecture("vit_b16_224w2") is None
    )


def test_a_list_of_names_has_braces_and_patterns(tmp_path: Path) -> None:
    (tmp_path / "mine-s0").mkdir()
    (tmp_path / "mine-s0/backbone.json").write_text("{}")
    lite = tuple(f"efficientnet_lite{size}" for size in range(3))
    assert list_backbones("efficientnet_lite{0..2}") == list_backbones("efficientnet_lite*") == lite
    assert list_backbones("pixels, efficientnet_lite?:mean,pixels") == ("pixels", *(f"{name}:mean" for name in lite))
    assert list_backbones("random:resnet{10,18}:layer{3,4}")[1:3] == (
        "random:resnet10:layer4",
        "random:resnet18:layer3",
    )
    assert list_backbones("mine*", str(tmp_path)) == ("mine-s0",)
    assert list_backbones(" ,") == ()
    with pytest.raises(UnknownName, match=r"'eficientnet_lite\*'; nearest: efficientnet_lite"):
        list_backbones("eficientnet_lite*")
    with pytest.raises(BadValue, match="stand for names of the list alone"):
        list_backbones("timm:resnet*")
    with pytest.raises(BadValue, match="is never closed"):
        list_backbones("a{0..2")


def test_the_list_shows_rows_whose_cost_nobody_wrote_down(monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(BACKBONES["resnet18"], name="mine", arch="resnet18w2", dim=1024)
    monkeypatch.setitem(BACKBONES, "mine", row)
    line = next(line for line in backbone_table().splitlines() if line.startswith("mine "))
    assert line.split()[:4] == ["mine", "resnet18w2", "1024", "fewshot_224"]
    told = next(row for row in json.loads(backbone_table(as_json=True)) if row["backbone"] == "mine")
    assert told["GMACs"] is None
