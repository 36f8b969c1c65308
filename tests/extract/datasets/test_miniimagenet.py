import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from extract.datasets import open_dataset
from store.errors import BadValue

Make = Callable[[str], Path]


def test_images_are_those_that_closer_look_few_shot_takes(make: Make) -> None:
    root = make("miniimagenet")
    ilsvrc = root / "miniimagenet/ILSVRC2015/Data/CLS-LOC/train"
    order: list[str] = []
    for split, file in (("base", "train.csv"), ("val", "val.csv"), ("novel", "test.csv")):
        images = open_dataset("miniimagenet", split, root)
        with (root / "miniimagenet" / file).open() as opened:
            rows = list(csv.reader(opened))[1:]
        order += dict.fromkeys(label for _, label in rows)
        for row, (name, label) in enumerate(rows):
            numbers = sorted(int(path.stem.split("_")[1]) for path in (ilsvrc / label).iterdir())
            assert images.samples.ids[row] == f"{label}/{label}_{numbers[int(name[-9:-4]) - 1]}.JPEG"
            assert images.samples.label[row] == order.index(label)
        assert len(rows) == len(images.samples) == 90
    assert images.samples.targets["label"].classes == tuple(order)
    assert set(images.samples.label) == set(range(10, 15))  # of the true one: 80 to 99


def test_images_under_the_names_of_the_lists(make: Make) -> None:
    root = make("miniimagenet")
    want = open_dataset("miniimagenet", "novel", root)
    folder = root / "miniimagenet/images"
    folder.mkdir()
    with (root / "miniimagenet/test.csv").open() as opened:
        names = [name for name, _ in list(csv.reader(opened))[1:]]
    for row, name in enumerate(names):
        (folder / name).write_bytes(want.read(row))  # type: ignore[arg-type]
    found = open_dataset("miniimagenet", "novel", root)
    assert found.samples.ids == names
    assert found.samples.label.tolist() == want.samples.label.tolist()
    assert found.read(5) == want.read(5)


def test_what_is_missing_is_named(make: Make, tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"train\.csv does not exist\. Fetch train\.csv, val\.csv and test\.csv"):
        open_dataset("miniimagenet", "novel", tmp_path)
    top = make("miniimagenet") / "miniimagenet"
    images = open_dataset("miniimagenet", "novel", tmp_path)
    folder = top / "ILSVRC2015/Data/CLS-LOC/train" / images.samples.ids[0].partition("/")[0]
    for file in sorted(folder.iterdir())[:5]:
        file.unlink()
    with pytest.raises(BadValue, match=r"has 15 images, .* would be number 16: some are missing"):
        open_dataset("miniimagenet", "novel", tmp_path)
    (top / "val.csv").write_text("filename,label\nn0153282900000005.jpg,n01532828\n")
    with pytest.raises(BadValue, match=r"val.csv, line 2: 'n0153282900000005\.jpg' is not an image of .*'n01532828'"):
        open_dataset("miniimagenet", "novel", tmp_path)
    for data, why in ((b"\xff", "is not a CSV file in UTF-8"), (b'filename,label\n"n', "a quote is opened and never")):
        (top / "val.csv").write_bytes(data)
        with pytest.raises(BadValue, match=why):
            open_dataset("miniimagenet", "novel", tmp_path)
    (top / "val.csv").unlink()
    os.mkfifo(top / "val.csv")
    with pytest.raises(BadValue, match=r"val\.csv is neither a file nor a folder"):
        open_dataset("miniimagenet", "novel", tmp_path)
    (top / "val.csv").unlink()
    (top / "val.csv").write_text("n0153282900000005.jpg,n01532829\n")
    with pytest.raises(BadValue, match="its first line must be filename,label"):
        open_dataset("miniimagenet", "novel", tmp_path)
