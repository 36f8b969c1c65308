"""Target columns that hold no classes: numbers that were measured, and several labels in one cell."""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from functools import cache

from store.errors import BadValue

log = logging.getLogger("store")
MANY = 50
"""So many different numbers with a fraction are a measurement; fewer may be grades or sizes."""
BETWEEN = ("|", ";")
"""What stands between the labels of one cell."""


def check_classes(column: str, classes: Sequence[str]) -> None:
    """Before a head is trained on a column or tested by it. Warns where its classes hold several labels.

    Raises `BadValue`: its classes are numbers.
    """
    if text := _numbers(column, classes):
        raise BadValue(text)
    if text := _several(column, classes):
        _warn_once(text)


def warn_of_no_classes(column: str, classes: Sequence[str]) -> None:
    """The same when a column comes in: it is stored, and may be a group."""
    if text := _numbers(column, classes) or _several(column, classes):
        _warn_once(text)


@cache
def _warn_once(text: str) -> None:
    log.warning("%s", text)


def _numbers(column: str, classes: Sequence[str]) -> str:
    """All but a few of at least `MANY` classes are numbers, with a fraction: 3.0, as pandas writes a 3, is a class."""
    if len(classes) < MANY:
        return ""
    values = [value for value in map(_number, classes) if value is not None]
    broken = [value for value in values if value != math.floor(value)]
    if len(broken) < MANY or len(values) < 0.9 * len(classes):
        return ""
    example = next(name for name in classes if _number(name) == broken[0])
    return (
        f"target {column!r} has {len(classes)} different numbers such as {example}: these are no classes, and nothing "
        "here predicts numbers yet. Write what range a number is in (low, middle, high) into a column of its own"
    )


def _several(column: str, classes: Sequence[str]) -> str:
    """Classes of parts with a mark between them, and a part that stands in another class too."""
    for mark in BETWEEN:
        joined = [name for name in classes if mark in name]
        if not joined:
            continue
        parts = {name: {part.strip() for part in name.split(mark)} - {""} for name in classes}
        counts = Counter(part for found in parts.values() for part in found)
        if any(len(parts[name]) > 1 and any(counts[part] > 1 for part in parts[name]) for name in joined):
            return (
                f"target {column!r} has classes that hold several labels, such as {joined[0]!r}: each combination is a "
                "class like any other, and images without a label are left out. For one label at a time write a column "
                "for each, with yes and no"
            )
    return ""


def _number(name: str) -> float | None:
    try:
        value = float(name.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
