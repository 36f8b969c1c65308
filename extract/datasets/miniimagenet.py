"""miniImageNet: 64 base, 16 validation and 20 novel classes of ImageNet, 600 images each, as Ravi and Larochelle chose.

The lists train.csv, val.csv and test.csv name the images. They lie in images/ under these names, or are those of
ImageNet itself: n0153282900000005.jpg is then the fifth file of n01532829 by number, as wyharveychen/CloserLookFewShot
filelists/miniImagenet/write_miniImagenet_filelist.py takes it. Classes are numbered as there: 0-63, 64-79, 80-99.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from extract.datasets.common import Images, file_images, need
from extract.datasets.csv_text import read_bytes, read_table
from store.errors import BadValue
from store.samples import Targets

LISTS = {"base": "train.csv", "val": "val.csv", "novel": "test.csv"}
HOW = (
    "Fetch train.csv, val.csv and test.csv of https://github.com/twitter/meta-learning-lstm, data/miniImagenet, and "
    "put the images in images/, or ImageNet's own, or a link to them, in ILSVRC2015/Data/CLS-LOC/train"
)
_NAME = re.compile(r"(n\d{8})(\d{8})\.jpg")


def open_split(dataset: str, split: str, path: Path) -> Images:
    lists = {name: _rows(need(dataset, path / file, HOW)) for name, file in LISTS.items()}
    classes = list(dict.fromkeys(label for rows in lists.values() for _, label in rows))
    rows = lists[split]
    label = Targets.from_names("label", [name for _, name in rows], classes)
    flat, ilsvrc = path / "images", path / "ILSVRC2015/Data/CLS-LOC/train"
    if flat.is_dir():
        return file_images(dataset, split, flat, [file for file, _ in rows], [label])
    find = _original(need(dataset, ilsvrc, HOW))
    images = file_images(dataset, split, ilsvrc, [find(file, name) for file, name in rows], [label])
    return replace(images, top=None)


def _rows(file: Path) -> list[tuple[str, str]]:
    """(file name, class) of every line."""
    table = read_table(file, read_bytes(file), tell=False)
    if not {"filename", "label"} <= set(table.columns):
        raise BadValue(f"{file}: its first line must be filename,label")
    rows = list(zip(table.columns["filename"], table.columns["label"], strict=True))
    for line, (name, label) in zip(table.lines, rows, strict=True):
        match = _NAME.fullmatch(name)
        if not match or match[1] != label:
            raise BadValue(f"{file}, line {line}: {name!r} is not an image of the class {label!r}")
    return rows


def _original(top: Path) -> Callable[[str, str], str]:
    """From a name of the lists to the file of ImageNet, relative to `top`."""

    @cache
    def files(wnid: str) -> list[str]:
        try:
            names = [entry.name for entry in (top / wnid).iterdir() if re.fullmatch(r"n\d+_\d+\.JPEG", entry.name)]
        except OSError as error:
            raise BadValue(f"{top / wnid}: {error.strerror}. {HOW}") from error
        return sorted(names, key=lambda name: int(name.partition("_")[2].partition(".")[0]))

    def find(name: str, wnid: str) -> str:
        found, number = files(wnid), int(name[-9:-4])
        if not 1 <= number <= len(found):
            raise BadValue(f"{top / wnid} has {len(found)} images, {name} would be number {number}: some are missing")
        return f"{wnid}/{found[number - 1]}"

    return find
