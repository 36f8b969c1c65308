"""A backbone that was trained here is what was written, or it is refused."""

import json
import logging
from pathlib import Path

import pytest
import torch

from extract.images.recipes import RECIPES
from extract.loading import build_network, load, load_head
from extract.models.untrained import fill_untrained
from extract.trained import DESCRIPTION, HEAD, SEAL, WEIGHTS, describe, recipe_json, sealed
from extract.training.run_folder import load_checkpoint, publish, save_checkpoint
from store.errors import BadValue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The backbone `a`, a small network that nobody trained, and its head."""
    with torch.device("meta"):
        net = build_network("conv4w0.25")
    fill_untrained(net)
    head = {"weight": torch.randn(3, 400), "bias": torch.zeros(3)}
    about = {"arch": "conv4w0.25", "dim": 400, "recipe": recipe_json(RECIPES["fewshot_84"]), "classes": ["a", "b", "c"]}
    publish(tmp_path / "a", net.state_dict(), head, about)
    return tmp_path / "a"


def use(folder: Path) -> None:
    load(folder.name, backbones=str(folder.parent))
    load_head(folder.name, backbones=str(folder.parent))


@pytest.mark.parametrize("name", [WEIGHTS, HEAD])
def test_every_flipped_bit_of_the_tensors_is_refused(folder: Path, name: str) -> None:
    use(folder)
    whole = (folder / name).read_bytes()
    for at in range(0, len(whole), len(whole) // 20):
        damaged = bytearray(whole)
        damaged[at] ^= 4
        (folder / name).write_bytes(damaged)
        with pytest.raises(BadValue, match=r"its sha256 is .* restore it"):
            use(folder)


def test_every_flipped_letter_of_the_description_is_refused_or_changes_nothing(folder: Path) -> None:
    whole, made = (folder / DESCRIPTION).read_bytes(), describe(folder)
    same = 0
    for at in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[at] ^= 2
        (folder / DESCRIPTION).write_bytes(damaged)
        try:
            assert describe(folder) == made
            same += 1
        except BadValue:
            pass
    assert same < len(whole) / 30  # blanks between the fields


def test_another_backbones_head_is_refused_and_a_missing_one_is_told(folder: Path, tmp_path: Path) -> None:
    other = publish(tmp_path / "b", {}, {"weight": torch.randn(3, 400), "bias": torch.zeros(3)}, {})
    assert len(other) == 64
    (folder / HEAD).write_bytes((tmp_path / "b" / HEAD).read_bytes())
    with pytest.raises(BadValue, match="that of the head of a is"):
        load_head("a", backbones=str(tmp_path))
    (folder / HEAD).unlink()
    with pytest.raises(BadValue, match=r"head.safetensors is missing: restore it"):
        load_head("a", backbones=str(tmp_path))


def test_a_folder_of_an_earlier_version_opens_and_is_told_as_unchecked(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = {key: value for key, value in describe(folder).items() if key not in (SEAL, "head_sha256")}
    (folder / DESCRIPTION).write_text(json.dumps(made))
    with caplog.at_level(logging.WARNING):
        use(folder)
    assert [record.getMessage().count("earlier version") for record in caplog.records] == [1]


def test_an_edited_description_that_was_sealed_again_is_a_description(folder: Path) -> None:
    made = {key: value for key, value in describe(folder).items() if key != SEAL}
    (folder / DESCRIPTION).write_text(json.dumps(sealed(made | {"note": "mine"})))
    assert describe(folder)["note"] == "mine"


def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {"epoch": 3, "net": {"w": torch.arange(1000.0)}})
    assert load_checkpoint(tmp_path)["epoch"] == 3  # type: ignore[index]
    file = tmp_path / "checkpoint.pt"
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(BadValue, match=r"cannot be read .* remove it to begin the run again"):
        load_checkpoint(tmp_path)
