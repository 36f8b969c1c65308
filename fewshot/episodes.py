"""Episodes: which images are support, which are query. Drawn from a seed, shared by every method and backbone."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from store.errors import BadValue
from store.samples import Targets

log = logging.getLogger("fewshot")

_CHUNK = 1 << 22
"""Numbers that drawing holds at a time."""


@dataclass(frozen=True, eq=False)
class Episodes:
    """E episodes of one shape: `way` classes of `shot` support and `query` query images each."""

    support_EWS: np.ndarray
    """Pool rows, int64."""
    query_EWQ: np.ndarray
    classes_EW: np.ndarray
    """Class numbers of the target column, int32; the class of an image within its episode is its position on W."""
    number_E: np.ndarray
    """Each episode's number in the order of drawing: seeds its initial weights and batch orders."""

    def __len__(self) -> int:
        return len(self.number_E)

    @property
    def way(self) -> int:
        return int(self.support_EWS.shape[1])

    @property
    def shot(self) -> int:
        return int(self.support_EWS.shape[2])

    @property
    def query(self) -> int:
        return int(self.query_EWQ.shape[2])

    def take(self, which: slice | np.ndarray) -> "Episodes":
        return Episodes(self.support_EWS[which], self.query_EWQ[which], self.classes_EW[which], self.number_E[which])


def class_rows(target: Targets, rows: np.ndarray) -> list[np.ndarray]:
    """The rows (of `rows`) of each class, ascending."""
    index = target.index[rows]
    order = np.argsort(index, kind="stable")
    edges = np.searchsorted(index[order], np.arange(len(target.classes) + 1))
    return [rows[order[low:high]] for low, high in pairwise(edges)]


def fitting_classes(target: Targets, rows: Sequence[np.ndarray], shot: int, query: int, way: int) -> np.ndarray:
    """The classes with at least shot + query images; those without are named in the log.

    Raises `BadValue`: fewer than `way` are left. The text says what would fit.
    """
    need, counts = shot + query, np.array([len(found) for found in rows])
    fitting = np.flatnonzero(counts >= need)
    short = [f"{target.classes[i]} ({counts[i]})" for i in np.flatnonzero(counts < need)]
    if len(fitting) < way:
        if len(target.classes) < way:
            raise BadValue(
                f"--ways {way}: the target column {target.column!r} has only {len(target.classes)} classes; "
                f"give --ways {len(target.classes)} or fewer"
            )
        most = int(np.sort(counts)[::-1][way - 1])
        fits = [f"--ways {len(fitting)} fits"] if len(fitting) >= 2 else []
        fits += [f"--shots {shot} --queries {most - shot} fits"] if most > shot else []
        raise BadValue(
            f"{way} ways of {shot} shots and {query} queries need {way} classes of column {target.column!r} with at "
            f"least {need} images, but {len(fitting)} have them; too small: {_some(short)}. "
            + ("; ".join(fits) or f"no class but {way - 1} has more than {most} images: give fewer --ways and --shots")
        )
    if short:
        log.info("%d classes have fewer than %d images and do not take part: %s", len(short), need, _some(short))
    return fitting


def _some(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def draw(
    rows: Sequence[np.ndarray], fitting: np.ndarray, *, way: int, shot: int, query: int, episodes: int, seed: int
) -> Episodes:
    """Draw `episodes` episodes: `way` of the fitting classes, then shot + query images of each, none twice.

    The same arguments give the same episodes on every machine.
    """
    rng = np.random.default_rng([seed, way, shot, query])
    sizes = np.array([len(found) for found in rows])
    table = np.zeros((len(rows), sizes[fitting].max()), np.int64)
    for i in fitting:
        table[i, : sizes[i]] = rows[i]
    classes_EW = fitting[_distinct(rng, np.full(episodes, len(fitting)), way)]
    picks_MK = _distinct(rng, sizes[classes_EW].ravel(), shot + query)
    drawn_EWK = table[classes_EW.ravel()[:, None], picks_MK].reshape(episodes, way, shot + query)
    return Episodes(
        np.ascontiguousarray(drawn_EWK[:, :, :shot]),
        np.ascontiguousarray(drawn_EWK[:, :, shot:]),
        classes_EW.astype(np.int32),
        np.arange(episodes),
    )


def _distinct(rng: np.random.Generator, sizes_M: np.ndarray, count: int) -> np.ndarray:
    """For each m, `count` distinct numbers below sizes_M[m], in random order: (M, count) int64."""
    picks_MK = np.empty((len(sizes_M), count), np.int64)
    widest = int(sizes_M.max())
    step = max(1, _CHUNK // widest)
    for start in range(0, len(sizes_M), step):  # a Fisher-Yates shuffle of each list, stopped after `count`
        sizes = sizes_M[start : start + step]
        lists, each = np.tile(np.arange(widest, dtype=np.int32), (len(sizes), 1)), np.arange(len(sizes))
        for k in range(count):
            other = rng.integers(k, sizes)
            picks_MK[start : start + step, k] = lists[each, other]
            lists[each, other] = lists[each, k]
    return picks_MK
