"""Which array of a file is what: features, ids, labels, groups, splits. What is not clear is never guessed."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from store.errors import BadValue
from store.foreign import NUMBER, OTHER, TEXT, Column, reading
from store.foreign_files import read_columns
from store.foreign_hdf5 import check_written
from store.formats import column_of, names_name
from store.habits import usual
from store.row_ids import id_column, id_texts
from store.samples import Targets
from store.values import as_sizes, as_targets, as_texts, one_each, read_labels

log = logging.getLogger("store")

FEATURES = ("features", "all_feats", "feats", "embeddings", "embedding", "x", "X")
TARGETS = {
    "label": ("labels", "all_labels", "label", "targets", "y", "class_name"),
    "group": ("groups", "group"),
}
SURELY = ("labels", "all_labels", "label", "groups", "group")
"""Names that are surely meant so: where their values cannot be taken, that is an error."""
"""What others call our arrays; the first that fits is taken."""
SPLITS = ("split", "splits")


@dataclass(frozen=True)
class Table:
    """The rows of a file."""

    path: Path
    features: Any
    """(N, ...) numbers: an array, or what is sliced like one."""
    ids: Sequence[str]
    numbered: bool
    """Whether the ids are row numbers, because the file has none."""
    sizes: np.ndarray | None
    contents: np.ndarray | None
    """(N, 16) uint8, the images' hashes as `store export` writes them; zeros where there is none."""
    splits: np.ndarray | None
    """(N,) names of splits, if the file says which row is of which."""
    targets: Mapping[str, Targets]
    nameless: frozenset[str]
    """Target columns that came as numbers, without names of the classes."""
    others: Sequence[str] = field(default_factory=tuple)
    """Text columns that could be ids too."""

    def __len__(self) -> int:
        return len(self.ids)


def read_table(path: Path, *, labels: Path | None = None, ids: str | None = None) -> Table:
    """Read a file; its features stay there until they are asked for.

    Raises `BadValue`: what a row or a column is cannot be told, or values that are none of what they should be.
    """
    columns = read_columns(path)
    name = _features(path, columns)
    x = columns.pop(name).load(path)
    with reading(path):
        x, columns = _cut(path, x, columns)
        count = x.shape[0]
        if not count:
            raise BadValue(f"{path} has no rows")
        if not np.prod(x.shape[1:], dtype=np.int64):
            raise BadValue(f"{path}: features are {tuple(x.shape)}; features are numbers, (N, D)")
        check_written(path, x, count)
    used = set[str]()
    if labels is not None:
        columns["labels"] = read_labels(labels)
    targets, nameless = _targets(path, columns, count, used)
    splits = _splits(path, columns, count, used)
    sizes = as_sizes(path, one_each(path, "sizes", columns["sizes"], count)) if "sizes" in columns else None
    contents = _contents(path, columns, count)
    if contents is not None:
        used.add("content")
    free = {key: column for key, column in columns.items() if key not in {*used, "sizes"}}
    by, others = id_column(path, free, count, ids, splits)
    names = None if by is None else id_texts(path, by, columns[by], count, splits)
    taken = sorted(used)
    used |= {by} if by else set()
    rest = [key for key in columns if key not in {*used, "sizes"}]
    log.info(
        "%s: features from %s, ids from %s%s%s", path.name, name, by or "the rows' numbers: they join only their like",
        _told(taken, "with "), _told(rest, "not taken: "),
    )  # fmt: skip
    numbered = names is None
    if names is None:
        names = [f"{row:0{len(str(count - 1))}d}" for row in range(count)]
    return Table(path, x, names, numbered, sizes, contents, splits, targets, nameless, others)


def _contents(path: Path, columns: Mapping[str, Column], count: int) -> np.ndarray | None:
    """None where there are no hashes: a column `content` of anything else is the user's own."""
    column = columns.get("content")
    if column is None or column.kind != TEXT or column.shape != (count,):
        return None
    texts = [str(text or "") for text in as_texts(path, "content", one_each(path, "content", column, count))]
    if not all(re.fullmatch(r"([0-9a-f]{32})?", text) for text in texts):
        return None
    return np.frombuffer(bytes.fromhex("".join(text or "0" * 32 for text in texts)), np.uint8).reshape(count, 16)


def _told(names: Sequence[str], word: str) -> str:
    return f"; {word}{', '.join(names)}" if names else ""


def _features(path: Path, columns: Mapping[str, Column]) -> str:
    there = [name for name in FEATURES if name in columns]
    fits = [name for name in there if columns[name].kind == NUMBER and len(columns[name].shape) > 1]
    if fits:
        return fits[0]
    if there:
        raise BadValue(f"{path}: {there[0]} are {columns[there[0]]}; features are numbers, (N, D)")
    have = ", ".join(f"{name} {column}" for name, column in columns.items()) or "nothing"
    raise BadValue(f"{path} has no array `features` (or {', '.join(FEATURES[1:])}); it has: {have}")


def _cut(path: Path, x: Any, columns: dict[str, Column]) -> tuple[Any, dict[str, Column]]:
    """Two layouts whose rows are not the first axis: `count` rows and padding, and TRIDENT's one slide of n patches."""
    rows = x.shape[0]
    if rows == 1 and len(x.shape) == 3 and x.shape[1] > 1:
        if "coords" not in columns or x.shape[1] not in columns["coords"].shape[:2]:
            raise BadValue(f"{path}: features are {x.shape}: one row, or {x.shape[1]}? Save x[0], or x.reshape(1, -1)")
        return np.asarray(x[0]), columns
    count = columns.get("count")
    if count is None or count.kind != NUMBER or count.shape not in ((), (1,)) or path.suffix.lower() == ".parquet":
        return x, columns
    number = np.asarray(count.load(path)[()]).ravel()[0]
    if not (number == number // 1 and 0 <= number <= rows):
        raise BadValue(f"{path}: count is {number}, but there are {rows} rows")
    check_written(path, x, int(number))
    rest = {name: column.first(int(number), rows) for name, column in columns.items() if name != "count"}
    return x[: int(number)], rest


def _targets(
    path: Path, columns: Mapping[str, Column], count: int, used: set[str]
) -> tuple[dict[str, Targets], frozenset[str]]:
    taken = {column: _alias(columns, names, count) for column, names in TARGETS.items()}
    taken |= {column: name for name in columns if name not in taken.values() and (column := column_of(name))}
    targets, nameless = dict[str, Targets](), set[str]()
    for column, name in taken.items():
        if name is None:
            continue
        names = columns.get(names_name(column))
        used |= {name, names_name(column)} & columns.keys()
        classes = None if names is None else _class_names(path, names_name(column), names)
        targets[column], has_names = as_targets(
            path, column, one_each(path, name, columns[name], count), classes, is_text=columns[name].kind == TEXT
        )
        if not has_names:
            nameless.add(column)
    return targets, frozenset(nameless)


def _alias(columns: Mapping[str, Column], names: Sequence[str], count: int) -> str | None:
    """The first of these names with a value a row; else the first that is surely meant, for an error that names it."""
    there = [name for name in names if name in columns]
    one_each = [name for name in there if columns[name].shape in ((count,), (count, 1)) and columns[name].kind != OTHER]
    if one_each and not (one_each[0] == "y" and "x" in columns):  # x, y: a place
        return one_each[0]
    return there[0] if there and there[0] in SURELY else None


def _class_names(path: Path, name: str, column: Column) -> list[str]:
    if column.kind == OTHER or len(column.shape) != 1:
        raise BadValue(f"{path}: {name} is {column}; needed is one name a class, (C,)")
    return ["" if text is None else text for text in as_texts(path, name, column.load(path))]


def _splits(path: Path, columns: Mapping[str, Column], count: int, used: set[str]) -> np.ndarray | None:
    name = next((name for name in SPLITS if name in columns and columns[name].kind == TEXT), None)
    if name is None:
        return None
    used.add(name)
    texts = as_texts(path, name, one_each(path, name, columns[name], count))
    for row, text in enumerate(texts):
        if not text:
            raise BadValue(f"{path}: row {row} has no {name}; every row has one, or the column another name")
    return np.array([usual(str(text)) for text in texts])
