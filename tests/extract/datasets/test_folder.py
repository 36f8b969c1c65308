import os
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from extract.datasets import find_dataset, open_dataset, splits_of
from extract.datasets.common import hashed_split
from store.errors import BadImage, BadValue, UnknownName


def picture(path: Path, colour: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (colour, 0, 0)).save(path)
    return path


def test_split_folders(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for i in range(3):
                picture(tmp_path / split / name / f"{i}.png")
    assert splits_of(f"folder:{tmp_path}") == ("train", "test")
    images = open_dataset(f"folder:{tmp_path}", "test")
    assert images.samples.ids == [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(3)]
    assert images.samples.label.tolist() == [0, 0, 0, 1, 1, 1]
    assert images.samples.targets["label"].classes == ("cat", "dog")
    assert images.samples.sizes.tolist() == [(tmp_path / "test/cat/0.png").stat().st_size] * 6
    assert images.read(4) == (tmp_path / "test/dog/1.png").read_bytes()
    with pytest.raises(UnknownName, match="there are: train, test"):
        open_dataset(f"folder:{tmp_path}", "val")


def test_splits_of_any_name_beside_train(tmp_path: Path) -> None:
    for split in ("sketches", "train", "at_night"):
        picture(tmp_path / split / "cat/1.png")
    (tmp_path / "annotations").mkdir()  # holds no classes
    assert splits_of(f"folder:{tmp_path}") == ("train", "at_night", "sketches")
    assert open_dataset(f"folder:{tmp_path}", "at_night").samples.ids == ["cat/1.png"]


def test_pictures_that_are_not_read_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture(tmp_path / "train/cat/1.png").rename(tmp_path / "train/cat/1.JFIF")
    (tmp_path / "train/cat/2.heic").write_bytes(b"")
    (tmp_path / "train/cat/3.EXR").write_bytes(b"")
    (tmp_path / "train/__MACOSX").mkdir()
    samples = open_dataset(f"folder:{tmp_path}", "train").samples
    assert (samples.ids, samples.targets["label"].classes) == (["cat/1.JFIF"], ("cat",))
    assert f"{tmp_path / 'train'}: 2 pictures are left out, of kinds that are not read here: " in caplog.text


def test_few_shot_splits_have_classes_of_their_own(tmp_path: Path) -> None:
    for split, names in {"base": ("ant", "bee"), "val": ("cow",), "novel": ("cat", "dog")}.items():
        for name in names:
            picture(tmp_path / split / name / "1.png")
    assert splits_of(f"folder:{tmp_path}") == ("base", "val", "novel")
    found = {split: open_dataset(f"folder:{tmp_path}", split).samples for split in ("base", "val", "novel")}
    assert found["novel"].targets["label"].classes == found["base"].targets["label"].classes
    assert {split: found[split].label.tolist() for split in found} == {"base": [0, 1], "val": [3], "novel": [2, 4]}


@pytest.mark.parametrize("names", [("novel", "Train"), ("Testing", "dev"), ("test", "val"), ("novel", "train")])
def test_folders_that_seem_to_be_splits_are_no_classes(names: tuple[str, str], tmp_path: Path) -> None:
    for split in names:
        picture(tmp_path / split / "cat" / "1.png")
    with pytest.raises(BadValue, match=r"seems to be a split, not a class\. .*: rename its folders"):
        splits_of(f"folder:{tmp_path}")


def test_classes_may_be_called_as_splits_are(tmp_path: Path) -> None:
    for name in ("train", "test", "base", "novel"):
        for i in range(9):
            picture(tmp_path / name / f"{i}.png")
    assert open_dataset(f"folder:{tmp_path}", "train").samples.targets["label"].classes == (
        "base", "novel", "test", "train",
    )  # fmt: skip


def test_one_folder_is_split_by_the_hash_of_the_path(tmp_path: Path) -> None:
    for i in range(60):
        picture(tmp_path / "a" / f"{i}.jpg")
        picture(tmp_path / "b" / "deeper" / f"{i}.PNG")
    picture(tmp_path / "a" / ".hidden.png")
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    name = f"folder:{tmp_path}"
    ids = [open_dataset(name, split).samples.ids for split in splits_of(name)]
    assert sorted(chain.from_iterable(ids)) == sorted(
        [f"a/{i}.jpg" for i in range(60)] + [f"b/deeper/{i}.PNG" for i in range(60)]
    )
    assert 50 < len(ids[0]) < 95
    picture(tmp_path / "a" / "another.jpg")  # other images change nothing for those that are there
    assert set(ids[2]) <= set(open_dataset(name, "test").samples.ids)


def test_links_and_names_from_all_over_the_world(tmp_path: Path) -> None:
    elsewhere = picture(tmp_path / "elsewhere" / "x.png")
    (tmp_path / "data/train/猫").mkdir(parents=True)
    (tmp_path / "data/train/猫/été 1.png").symlink_to(elsewhere)
    images = open_dataset(f"folder:{tmp_path / 'data'}", "train")
    assert images.samples.ids == ["猫/été 1.png"]
    assert images.read(0) == elsewhere.read_bytes()


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    def failing(path: Path, split: str = "train") -> str:
        with pytest.raises(BadValue) as error:
            open_dataset(f"folder:{path}", split)
        return str(error.value)

    assert "does not exist" in failing(tmp_path / "nowhere")
    assert "is not a folder" in failing(picture(tmp_path / "file.png"))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"{empty}: no class folders" in failing(empty)
    (empty / "cat").mkdir()
    assert f"{empty / 'cat'}: this class folder has no images" in failing(empty)
    picture(tmp_path / "split/train/cat/1.png")
    picture(tmp_path / "split/val/dgo/1.png")
    assert "class 'dgo' is in val, but not in train; train has cat. Splits with classes of their own" in failing(
        tmp_path / "split", "val"
    )
    (tmp_path / "raw/cat").mkdir(parents=True)
    (tmp_path / "raw/cat" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    assert "not UTF-8" in failing(tmp_path / "raw")
    picture(tmp_path / "few/cat/1.png")
    few = [split for split in ("train", "val", "test") if split != hashed_split("cat/1.png")]
    assert f"none of its few images is in {few[0]}" in failing(tmp_path / "few", few[0])
    with pytest.raises(BadValue, match="give the path"):
        find_dataset("folder:")


def test_an_image_that_goes_away_is_named(tmp_path: Path) -> None:
    path = picture(tmp_path / "train/cat/1.png")
    images = open_dataset(f"folder:{tmp_path}", "train")
    path.unlink()
    with pytest.raises(BadImage, match=r"1\.png: No such file"):
        images.read(0)


@pytest.mark.parametrize("name", ["openmoji", "digits"])
def test_datasets_that_packages_carry(name: str) -> None:
    spec, _ = find_dataset(name)
    splits = {split: open_dataset(name, split) for split in splits_of(name)}
    ids = [set(images.samples.ids) for images in splits.values()]
    assert sum(map(len, ids)) == len(set.union(*ids)) == {"openmoji": 1877, "digits": 1797}[name]
    for images in splits.values():
        assert tuple(images.samples.targets) == spec.columns
        assert len(images.samples.targets["label"].classes) == spec.num_classes
        assert set(images.samples.label) == set(range(spec.num_classes or 0))
        assert images.read(0).dtype == np.uint8
        assert 0.15 < len(images.samples) / sum(map(len, ids)) < 0.65


def test_an_unknown_dataset_has_nearest_names() -> None:
    with pytest.raises(
        UnknownName, match="unknown dataset 'openmojis'; nearest: openmoji, emoji; see `python -m extract --list"
    ):
        find_dataset("openmojis")


def test_a_path_alone_is_no_dataset_but_may_be_meant_as_one(tmp_path: Path) -> None:
    for name in (str(tmp_path), f"foldr:{tmp_path}"):
        with pytest.raises(UnknownName, match=rf"images of your own: --dataset folder:{tmp_path}$"):
            find_dataset(name)
    (tmp_path / "list.csv").write_text("")
    with pytest.raises(UnknownName, match=r"--dataset csv:.*list\.csv$"):
        find_dataset(str(tmp_path / "list.csv"))


def test_links_that_go_round_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "train/cat/1.png")
    again = tmp_path / "train/cat/again"
    for target in (tmp_path / "train", tmp_path, tmp_path / "train/cat"):
        again.symlink_to(target)
        with pytest.raises(BadValue, match="cat/again links to a folder that it lies in"):
            open_dataset(f"folder:{tmp_path}", "train")
        again.unlink()


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("Train", "valid", "Test"), ("train", "val", "test")),
        (("TRAINING", "Validation", "testing", "at_night"), ("train", "val", "test", "at_night")),
        (("train ", "dev"), ("train", "val")),
        (("Base", "VAL", "Novel"), ("base", "val", "novel")),
    ],
)
def test_splits_by_habit_and_case(
    names: tuple[str, ...], splits: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for i, name in enumerate(names):
        picture(tmp_path / name / "cat" / f"{i}.png")
    assert splits_of(f"folder:{tmp_path}") == splits
    found = [open_dataset(f"folder:{tmp_path}", split) for split in splits]
    assert [images.samples.ids for images in found] == [[f"cat/{i}.png"] for i in range(len(names))]
    assert [images.samples.split for images in found] == list(splits)
    renamed = [f"{name} is {split}" for name, split in zip(names, splits, strict=True) if name != split]
    assert all(text in caplog.text for text in renamed)


def test_two_folders_that_mean_one_split_are_refused(tmp_path: Path) -> None:
    for name in ("train", "val", "Valid"):
        picture(tmp_path / name / "cat" / "1.png")
    with pytest.raises(BadValue, match=r"'Valid' and 'val' both mean the split val; rename one of them"):
        splits_of(f"folder:{tmp_path}")
