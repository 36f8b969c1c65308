import pytest

from store.habits import is_hidden, usual


@pytest.mark.parametrize(
    ("name", "split"),
    [("Train", "train"), ("TRAINING", "train"), ("valid", "val"), ("Validation ", "val"), ("dev", "val"),
     ("testing", "test"), ("NOVEL", "novel"), ("ood", "ood"), ("Sketches", "Sketches"), ("train2", "train2")],
)  # fmt: skip
def test_what_a_split_is_called(name: str, split: str) -> None:
    assert usual(name) == split


def test_what_systems_leave() -> None:
    assert all(map(is_hidden, (".git", "._1.jpg", "@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN", "Thumbs.db")))
    assert not any(map(is_hidden, ("cat", "__cat__", "@cat", "thumbs.png", "recycle")))
