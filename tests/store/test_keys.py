from pathlib import Path

import pytest

from extract.datasets import find_dataset
from extract.weights.table import roots
from store.errors import BadValue
from store.keys import FeatureKey, dataset_name, from_folder, to_folder, user_path
from store.root import open_root

BAD = ["", "..", ".", "a/b", "/a", "a\\b", "a b", "a\nb", "ä", "a\0", "-a", "x" * 129, ".hidden", "a*", "C:\\x", "a?"]


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("place", range(3))
def test_names_that_cannot_be_stored(name, place) -> None:
    parts = ["toy", "train", "a"]
    parts[place] = name
    with pytest.raises(BadValue, match=f"{('dataset', 'split', 'backbone')[place]} name .* cannot be stored: use 1 to"):
        FeatureKey(*parts)


@pytest.mark.parametrize("name", ["a", "run@e10", "timm:vit_base.augreg", "random:resnet50", "7", "a+b=c", "x" * 128])
def test_names_are_their_folders(name) -> None:
    folder = FeatureKey("toy", "train", name).folder
    assert folder == f"features/toy/train/{to_folder(name)}"
    assert from_folder(to_folder(name)) == name
    assert ":" not in folder
    assert "/" not in to_folder(name)


def test_folders_and_csv_files_are_named_by_their_last_part(tmp_path) -> None:
    one, two = tmp_path / "one" / "birds!", tmp_path / "two" / "birds!"
    names = {dataset_name(f"folder:{path}") for path in (one, two)}
    assert len(names) == 2
    assert all(name.startswith("birds-") and len(name) == len("birds-") + 6 for name in names)
    assert dataset_name(f"csv:{tmp_path}/my birds.csv").startswith("my-birds-")
    assert dataset_name(f"folder:{Path('/')}").startswith("folder-")
    assert dataset_name("openmoji") == "openmoji"
    with pytest.raises(BadValue, match="dataset name 'a/b' cannot be stored"):
        dataset_name("a/b")


def test_a_home_of_nobody() -> None:
    for use in (
        open_root,
        lambda path: dataset_name(f"folder:{path}"),
        lambda path: find_dataset("openmoji", path),
        roots,
    ):
        with pytest.raises(BadValue, match=r"there is no user ~no-such-user"):
            use("~no-such-user/x")
    assert user_path("~/x") == Path.home() / "x"
