from pathlib import Path

import pytest

from store.habits import is_hidden, split_folder, usual


@pytest.mark.parametrize(
    ("name", "split"),
    [("Train", "train"), ("TRAINING", "train"), ("valid", "val"), ("Validation ", "val"), ("dev", "val"),
     ("testing", "test"), ("NOVEL", "novel"), ("ood", "ood"), ("Sketches", "Sketches"), ("train2", "train2")],
)  # fmt: skip
def test_what_a_split_is_called(name: str, split: str) -> None:
    assert usual(name) == split


def test_the_folder_of_a_split(tmp_path: Path) -> None:
    for name in ("Train", "valid", "val.txt"):
        (tmp_path / name).mkdir()
    assert split_folder(tmp_path, "train") == tmp_path / "Train"
    assert split_folder(tmp_path, "val") == tmp_path / "valid"
    assert split_folder(tmp_path, "test") == tmp_path
    (tmp_path / "train").mkdir()
    assert split_folder(tmp_path, "train") == tmp_path / "train"


def test_what_systems_leave() -> None:
    assert all(map(is_hidden, (".git", "._1.jpg", "@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN", "Thumbs.db")))
    assert not any(map(is_hidden, ("cat", "__cat__", "@cat", "thumbs.png", "recycle")))
