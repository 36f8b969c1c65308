"""What the columns of other people's files hold: text, classes, sizes. A missing value stays missing."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from store.errors import BadValue
from store.foreign import OTHER, TEXT, Column, read_lines, reading
from store.foreign_files import read_beside
from store.foreign_hdf5 import check_written
from store.samples import Targets

log = logging.getLogger("store")

_LIKE_MISSING = {"-1", "nan", "none", "null", "<na>", "n/a"}
_MOST_CLASS = 2**63


def one_each(path: Path, name: str, column: Column, count: int) -> np.ndarray:
    """(N,) values of a column whose rows are those of the features."""
    if column.kind == OTHER:
        raise BadValue(f"{path}: {name} is {column}; needed is text or whole numbers, one a row")
    if column.shape not in ((count,), (count, 1)):
        several = "; several labels a row cannot be taken yet" if column.shape[:1] == (count,) else ""
        raise BadValue(f"{path}: {name} has the shape {column.shape}, but there are {count} rows of features{several}")
    values = column.load(path)
    with reading(path):
        check_written(path, values, count)
        return np.asarray(values[()]).reshape(count)


def as_texts(path: Path, name: str, values: np.ndarray) -> list[str | None]:
    """Text, bytes of UTF-8 or whole numbers as text; None where a value is None or NaN."""
    return [_text(path, name, row, value) for row, value in enumerate(values.tolist())]


def _text(path: Path, name: str, row: int, value: Any) -> str | None:
    if value is None or value != value:  # noqa: PLR0124
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise BadValue(f"{path}: {name} of row {row} is {value[:40]!r}, which is not UTF-8 text") from error
    if isinstance(value, float) and not value.is_integer():
        raise BadValue(f"{path}: {name} of row {row} is {value!r}; needed is text or whole numbers")
    return str(int(value))


def as_targets(
    path: Path, column: str, values: np.ndarray, classes: list[str] | None, *, is_text: bool
) -> tuple[Targets, bool]:
    """One class a row: text, or whole numbers into `classes`; and whether the classes have names.

    Blanks around a text do not count. Rows without a value, NaN, an empty text or -1 have no class. Without `classes`,
    the classes are the values that occur.
    Raises `BadValue`: other values, two classes of one name, a number that has no class.
    """
    if is_text:
        names = [(text or "").strip() or None for text in as_texts(path, column, values)]
        words = sorted({name for name in names if name and name.lower() in _LIKE_MISSING})
        if words:
            log.warning(
                "%s: %s is a class like any other; where a value is missing, write an empty text", column, words
            )
        return _from_names(column, names), True
    numbers = _whole(path, column, values)
    if classes is None:
        found, index = np.unique(numbers, return_inverse=True)
        first = int(np.searchsorted(found, 0))
        return Targets(column, tuple(map(str, found[first:].tolist())), np.maximum(index - first, -1)), False
    if numbers.max() >= len(classes):
        row = int(numbers.argmax())
        raise BadValue(f"{path}: {column} of row {row} is {numbers[row]}, but there are {len(classes)} classes")
    if len(set(classes)) == len(classes):
        return Targets(column, tuple(classes), numbers), True
    pairs = set(zip(numbers.tolist(), classes, strict=False)) if len(classes) == len(numbers) else set()
    if pairs and len(pairs) == len({number for number, _ in pairs}) == len({name for _, name in pairs}):
        return _from_names(column, [n if i >= 0 else None for i, n in zip(numbers, classes, strict=True)]), True
    twice = next(name for i, name in enumerate(classes) if name in classes[:i])
    where = [i for i, name in enumerate(classes) if name == twice]
    raise BadValue(f"{path}: {column}: classes {where[0]} and {where[1]} are both named {twice!r}; one name, one class")


def _from_names(column: str, names: list[str | None]) -> Targets:
    """Numbers in the order of their value, other names in that of their letters."""
    distinct = {name for name in names if name is not None}
    numbers = all(name.isdecimal() for name in distinct)
    classes = sorted(distinct, key=(lambda name: (len(name), name)) if numbers else None)
    place: dict[str | None, int] = {None: -1, **{name: i for i, name in enumerate(classes)}}
    return Targets(column, tuple(classes), np.array([place[name] for name in names], np.int32))


def _whole(path: Path, column: str, values: np.ndarray) -> np.ndarray:
    """(N,) int64; -1 where a value is missing."""
    missing = np.array([value is None or value != value for value in values.tolist()], bool)  # noqa: PLR0124
    given = np.array(values[~missing].tolist())
    whole = given.astype(np.float64) if given.dtype.kind in "biuf" else np.full(given.shape, np.nan)
    fits = np.isfinite(whole) & (whole == np.floor(whole)) & (whole >= -1) & (whole < _MOST_CLASS)
    if not fits.all():
        row = int(np.flatnonzero(~missing)[int(np.argmin(fits))])
        raise BadValue(
            f"{path}: {column} of row {row} is {values[row]}: a class is text or a whole number, -1 for none. Numbers "
            "as targets (regression) come in a later version; leave the column out, or make classes of it"
        )
    numbers = np.full(len(values), -1, np.int64)
    numbers[~missing] = given.astype(np.int64)
    return numbers


def as_sizes(path: Path, values: np.ndarray) -> np.ndarray:
    """(N,) int64 bytes of the image files. Raises `BadValue`: what cannot be that."""
    for row, value in enumerate(values.tolist()):
        if isinstance(value, str | bytes) or value is None or not (0 <= value < _MOST_CLASS and value == value // 1):
            raise BadValue(
                f"{path}: sizes of row {row} is {value!r}; sizes are those of the image files in bytes: call what else "
                "it is by another name"
            )
    return values.astype(np.int64)


def read_labels(path: Path) -> Column:
    """`--labels FILE`: .npy, or text with one a line."""
    if not path.is_file():
        raise BadValue(f"--labels {path} is not a file")
    if path.suffix.lower() != ".npy":
        lines = [line.removesuffix("\r") for line in read_lines(path)]
        return Column((len(lines),), TEXT, "text", lambda: np.array(lines, object))
    column = read_beside(path)
    if column.kind == OTHER:
        raise BadValue(f"--labels {path} cannot be read as .npy: {column.what}")
    return column
