"""Your own images in a list: a CSV file with the columns path and label, and where you like split and any groups.

Paths are relative to the file's folder. Every further column is a target column. An empty cell is no target. Without
a column split the images are split 60/20/20 by the hash of their path (`common.hashed_split`), or of the column unit
where there is one: a slide, a patient, a film, whose images must not be in two splits.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from extract.datasets.common import Images, check_inside, file_images, hashed_split
from extract.datasets.split_names import SPLITS
from extract.datasets.walk import short
from store.errors import BadValue
from store.keys import check_name, dataset_name
from store.samples import UNIT, Targets


def splits(path: Path) -> tuple[str, ...]:
    return _splits(_rows(path))


def open_split(_dataset: str, split: str, path: Path) -> Images:
    rows = _rows(path)
    chosen = [row for row in rows if row["split"] == split]
    columns = [name for name in rows[0] if name not in ("path", "split")]
    columns.sort(key=lambda name: name != "label")
    targets = [_targets(name, [row[name] for row in chosen], {row[name] for row in rows}) for name in columns]
    return file_images(dataset_name(f"csv:{path}"), split, path.parent, [row["path"] for row in chosen], targets)


def _splits(rows: list[dict[str, str]]) -> tuple[str, ...]:
    found = list(dict.fromkeys(row["split"] for row in rows))
    return tuple(sorted(found, key=lambda name: SPLITS.index(name) if name in SPLITS else len(SPLITS)))


def _rows(path: Path) -> list[dict[str, str]]:
    """Every line as {column: cell}, split filled in. Raises `BadValue` with the line."""
    if path.exists() and not path.is_file():
        raise BadValue(f"dataset csv:{path}: {path} is not a file")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file, strict=True)
            _check_header(path, lines.fieldnames or ())
            rows, seen = [], dict[str, int]()
            for row in lines:
                rows.append(_check_row(f"{path}, line {lines.line_num}", row, path.parent))
                first = seen.setdefault(check_inside(row["path"], path.parent), lines.line_num)
                if first != lines.line_num:
                    raise BadValue(f"{path}, line {lines.line_num}: {row['path']!r} is in line {first} already")
    except OSError as error:
        raise BadValue(f"dataset csv:{path}: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadValue(f"{path} is not a CSV file in UTF-8: {error}; save it as such") from error
    if not rows:
        raise BadValue(f"{path} lists no images")
    return rows


def _check_header(path: Path, header: Iterable[str]) -> None:
    header = list(header)
    for name in ("path", "label"):
        if name not in header:
            there = short([repr(column) for column in header]) or "none"
            why = "; columns are separated by commas" if any(set(column) & {";", "\t"} for column in header) else ""
            raise BadValue(f"{path}: no column {name!r} in its first line; there are: {there}{why}")
    repeated = [name for name in header if header.count(name) > 1]
    if repeated:
        raise BadValue(f"{path}: column {repeated[0]!r} occurs twice")
    for name in header:
        check_name("target column", name)


def _check_row(where: str, row: dict[str, str], top: Path) -> dict[str, str]:
    if None in row or None in row.values():
        raise BadValue(f"{where}: not as many cells as the first line has columns")
    try:
        check_inside(row["path"], top)
        row["split"] = check_name("split", row.get("split") or hashed_split(row.get(UNIT) or row["path"]))
    except BadValue as error:
        raise BadValue(f"{where}: {error}") from error
    return row


def _targets(column: str, names: list[str], every: set[str]) -> Targets:
    """Classes are those of all splits, numbers in order of their value; -1 where the cell is empty."""
    numbers = all(name.isdecimal() for name in every if name)
    classes = sorted(every - {""}, key=(lambda name: (int(name), name)) if numbers else None)
    index = {name: i for i, name in enumerate(classes)} | {"": -1}
    return Targets(column, tuple(classes), np.array([index[name] for name in names], np.int32))
