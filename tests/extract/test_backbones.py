"""The table of backbones: names, aliases, families, and what a wrong name says."""

import subprocess
import sys

import pytest

from extract.backbones import ALIASES, BACKBONES, find_backbone
from extract.models import ARCHITECTURES
from extract.recipes import RECIPES
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
