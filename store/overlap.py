"""Images that stand on two sides of a comparison, by the hash of their bytes or by a target column `unit`."""

import logging
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations

import numpy as np

from store.concat import Concat
from store.errors import BadValue
from store.samples import UNIT

log = logging.getLogger("store")

Side = tuple[Concat, np.ndarray]
"""A concatenation, and the rows of it that are used, ascending."""


def contents(x: Concat, rows: np.ndarray) -> np.ndarray:
    """(n,) void of 16 bytes: each image's hash, by the first part that saw the image; zeros where none did."""
    kept = rows if x.rows is None else x.rows[rows]
    found = np.zeros(len(rows), "V16")
    for part in x.parts:
        unseen = ~_is_seen(found)
        if not unseen.any():
            break
        found[unseen] = part.content_hashes[kept[unseen]]
    return found


def check_apart(sides: Mapping[str, Side], *, allowed: bool) -> dict[str, int]:
    """How many images of each two sides are the same, or of one unit: {"train/test": 3}; those without any left out.

    Raises `BadValue`, unless it is `allowed`: two sides share an image or a unit. The text has how many, and which.
    """
    hashes = {role: contents(*side) for role, side in sides.items()}
    units = {role: _unit_names(*side) for role, side in sides.items()}
    warn_unseen([_name(side) for role, side in sides.items() if not _is_seen(hashes[role]).any()])
    found: dict[str, int] = {}
    for a, b in combinations(sides, 2):
        both = np.intersect1d(_seen(hashes[a]), _seen(hashes[b]))
        shared = np.intersect1d(units[a][units[a] != ""], units[b][units[b] != ""])
        count = int((np.isin(hashes[b], both) | np.isin(units[b], shared)).sum())
        if not count:
            continue
        found[f"{a}/{b}"] = count
        if not allowed:
            raise BadValue(
                f"{count} of {len(hashes[b])} images of {_name(sides[b])} ({b}) "
                + (f"stand in {_name(sides[a])} ({a}) too, byte for byte, first {_first(sides, hashes, a, b, both)}"
                   if both.size else f"are of a {UNIT} that {_name(sides[a])} ({a}) has too, first {str(shared[0])!r}")
                + ": what is trained or chosen on would test itself. Take them out of one split and extract it again, "
                + ("leave val out (--val none), " if "val" in (a, b) else "")
                + "or give --allow-duplicates: then the table and the record say so"
            )  # fmt: skip
    return found


def warn_unseen(names: Sequence[str]) -> None:
    """Say, once, of which splits it is not known whether their images stand elsewhere too."""
    if names:
        _warn_once(
            f"whether images of {', '.join(dict.fromkeys(names))} stand anywhere twice was not checked: nobody saw the "
            "images of imported features"
        )


@cache
def _warn_once(text: str) -> None:
    log.warning("%s", text)


def kept_together(sides: Sequence[Side]) -> np.ndarray | None:
    """(n,) int64: rows with the same number are of one unit, or the same image; all sides' rows one after the other.

    None where every row stands for itself.
    """
    hashes = np.concatenate([contents(*side) for side in sides])
    names = np.concatenate([_unit_names(*side) for side in sides])
    label = np.arange(len(hashes))
    keys = [np.unique(values, return_inverse=True)[1] for values in (hashes, names)]
    known = [_is_seen(hashes), names != ""]
    while True:
        before = label.copy()
        for key, rows in zip(keys, known, strict=True):
            least = np.full(len(label), len(label))
            np.minimum.at(least, key[rows], label[rows])
            label[rows] = least[key[rows]]
        if (label == before).all():
            break
    return None if len(np.unique(label)) == len(label) else label


def _is_seen(hashes: np.ndarray) -> np.ndarray:
    return np.asarray(hashes.view(np.uint8).reshape(-1, 16).any(axis=1))


def _seen(hashes: np.ndarray) -> np.ndarray:
    return np.asarray(hashes[_is_seen(hashes)])


def _unit_names(x: Concat, rows: np.ndarray) -> np.ndarray:
    column = x.samples.targets.get(UNIT)
    if column is None:
        return np.full(len(rows), "")
    names: np.ndarray = np.array([*column.classes, ""])[column.index[rows]]
    return names


def _name(side: Side) -> str:
    manifest = side[0].parts[0].manifest
    return f"{manifest.dataset}/{manifest.split}"


def _first(sides: Mapping[str, Side], hashes: Mapping[str, np.ndarray], a: str, b: str, both: np.ndarray) -> str:
    ids = []
    for role in (b, a):
        x, rows = sides[role]
        ids.append(x.samples.ids[int(rows[int(np.flatnonzero(hashes[role] == both[0])[0])])])
    return f"{ids[0]!r} = {ids[1]!r}"
