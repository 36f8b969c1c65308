"""Your own images in a list: a CSV file with the columns path and label, and where you like split and any groups.

Paths are relative to the file's folder. Every further column is a target column. An empty cell is no target. Without
a column split the images are split 60/20/20 by the hash of their path (`common.hashed_split`), or of the column unit
where there is one: a slide, a patient, a film, whose images must not be in two splits.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from extract.datasets import warn_once
from extract.datasets.common import Images, check_inside, file_images, hashed_split
from extract.datasets.csv_text import Table, read_bytes, read_table
from extract.datasets.split_names import as_splits
from extract.datasets.walk import short
from store.errors import BadValue
from store.habits import SPLITS
from store.keys import check_name, dataset_name
from store.samples import UNIT, Targets

OWN = ("path", "label", "split", UNIT)
"""Columns with a meaning, whose case does not matter."""
PATHS = ("image_path", "img_path", "image", "filename", "file_name", "file", "filepath", "file_path")
"""What others call the column path."""
LABELS = ("labels", "class", "class_name", "category", "target", "y")
"""What others call the column label: not taken for it, since it may be a target of its own."""
TOGETHER = frozenset(
    {"patient", "subject", "person", "animal", "slide", "wsi", "specimen", "case", "video", "film", "scene", "session"}
)
"""Columns whose images belong together, most likely: with or without `id` at the end."""
MISSING = frozenset({"nan", "na", "n/a", "none", "null", "<na>"})
DIGITS = 4000
"""A number of more is text: int() refuses it."""


def splits(path: Path) -> tuple[str, ...]:
    found = dict.fromkeys(_listed(path).columns["split"])
    return tuple(sorted(found, key=lambda name: SPLITS.index(name) if name in SPLITS else len(SPLITS)))


def open_split(_dataset: str, split: str, path: Path) -> Images:
    columns = _listed(path).columns
    chosen = [row for row, name in enumerate(columns["split"]) if name == split]
    names = sorted((name for name in columns if name not in ("path", "split")), key=lambda name: name != "label")
    targets = [_targets(name, columns[name], chosen) for name in names]
    ids = [columns["path"][row] for row in chosen]
    return file_images(dataset_name(f"csv:{path}"), split, path.parent, ids, targets)


def _listed(path: Path) -> Table:
    return _read(path, read_bytes(path))


@lru_cache(2)
def _read(path: Path, data: bytes) -> Table:
    """The file's columns under their own names, path and split as they are used. Raises `BadValue` with the line."""
    table = read_table(path, data)
    columns = _named(path, table.columns)
    if not len(table):
        raise BadValue(f"{path} lists no images")
    columns["path"] = _paths(path, table.lines, columns["path"])
    units, given = columns.get(UNIT, columns["path"]), columns.get("split", [])
    if any(given):
        meant = {
            name: split for split, name in as_splits([name for name in dict.fromkeys(given) if name], str(path)).items()
        }
        columns["split"] = [_split(path, line, name, meant) for line, name in zip(table.lines, given, strict=True)]
    else:
        columns["split"] = [hashed_split(unit or file) for unit, file in zip(units, columns["path"], strict=True)]
    if UNIT not in columns:
        _warn_of_parted(path, columns)
    odd = [name for name in dict.fromkeys(columns["label"]) if name.lower() in MISSING]
    if odd:
        warn_once(f"{path}: {odd[0]!r} is a class like any other; an image without a label has an empty cell")
    return Table(columns, table.lines)


def _named(path: Path, columns: dict[str, list[str]]) -> dict[str, list[str]]:
    """The same columns with `OWN` in lower case, and one of `PATHS` as path where there is none of this name."""
    names = {name: name.lower() if name.lower() in OWN else name for name in columns}
    others = [name for name in columns if name.lower() in PATHS]
    if "path" not in names.values() and len(others) == 1:
        names[others[0]] = "path"
    for own in OWN:
        both = [name for name, meant in names.items() if meant == own]
        if len(both) > 1:
            raise BadValue(f"{path}: the columns {both[0]!r} and {both[1]!r} both mean {own}; rename one of them")
        if not both and own in ("path", "label"):
            there = short([repr(name) for name in columns]) or "none"
            near = others if own == "path" else [name for name in columns if name.lower() in LABELS]
            why = f"; rename {short([repr(name) for name in near])}" if near else ""
            why += "; columns are separated by commas, semicolons or tabs" if len(columns) == 1 else ""
            raise BadValue(f"{path}: no column {own!r} in its first line; there are: {there}{why}")
    for meant in names.values():
        try:
            check_name("target column", meant)
        except BadValue as error:
            raise BadValue(f"{path}: {error}; rename it there") from error
    renamed = [f"{name} is {meant}" for name, meant in names.items() if name != meant]
    if renamed:
        warn_once(f"{path}: by their names, {', '.join(renamed)}")
    return {meant: columns[name] for name, meant in names.items()}


def _paths(path: Path, lines: Sequence[int], files: Sequence[str]) -> list[str]:
    """Paths as they are stored: below the list's folder, with slashes, each once. Raises `BadValue` with the line."""
    top, found, seen = path.parent, list[str](), dict[str, int]()
    starts = tuple(f"{folder.as_posix().rstrip('/')}/" for folder in (top.absolute(), top.resolve()))
    for line, listed in zip(lines, files, strict=True):
        file = listed.replace("\\", "/")
        if file.startswith(starts):
            warn_once(f"{path}: absolute paths are taken as relative to its folder")
            file = file.removeprefix(next(start for start in starts if file.startswith(start)))
        try:
            plain = check_inside(file, top)
        except BadValue as error:
            more = "; put the list into a folder that they are all below" if file.startswith("/") else ""
            raise BadValue(f"{path}, line {line}: {error}{more}") from error
        if (first := seen.setdefault(plain, line)) != line:
            raise BadValue(f"{path}, line {line}: {file!r} is in line {first} already")
        found.append(file)
    return found


def _warn_of_parted(path: Path, columns: Mapping[str, Sequence[str]]) -> None:
    """Say where a patient, or whatever else a column's name lets expect to stay together, is in several splits."""
    for name in columns:
        if name.lower().replace("_", "").replace("-", "").removesuffix("id") not in TOGETHER:
            continue
        splits = dict[str, set[str]]()
        for value, split in zip(columns[name], columns["split"], strict=True):
            if value:
                splits.setdefault(value, set()).add(split)
        parted = [value for value, found in splits.items() if len(found) > 1]
        if parted:
            warn_once(
                f"{path}: {len(parted)} of {len(splits)} values of {name!r} are in more than one split, first "
                f"{parted[0]!r}; images of one would be trained on and tested on. Name the column {UNIT}: it is in "
                "one split, or refused by the probe where a column split parts it"
            )


def _split(path: Path, line: int, name: str, meant: dict[str, str]) -> str:
    if not name:
        raise BadValue(f"{path}, line {line}: its split is empty, others are not; fill all of them, or none")
    try:
        return check_name("split", meant[name])
    except BadValue as error:
        raise BadValue(f"{path}, line {line}: {error}") from error


def _targets(column: str, cells: Sequence[str], chosen: Sequence[int]) -> Targets:
    """Classes are those of all splits, numbers in order of their value; -1 where the cell is empty."""
    every = {*cells} - {""}
    numbers = all(name.isdecimal() and len(name) < DIGITS for name in every)
    classes = sorted(every, key=(lambda name: (int(name), name)) if numbers else None)
    index = {name: i for i, name in enumerate(classes)} | {"": -1}
    return Targets(column, tuple(classes), np.array([index[cells[row]] for row in chosen], np.int32))
