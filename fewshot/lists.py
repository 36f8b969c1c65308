"""What episodes are drawn from: for each class the rows that may be support, and those that may be query."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fewshot.config import Crossing
from fewshot.pool import Pool
from store.errors import BadValue, UnknownName
from store.samples import Targets

log = logging.getLogger("fewshot")


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of each class, one list after the other."""

    flat: np.ndarray
    starts: np.ndarray
    """(C,) int64: where the list of each class begins."""
    sizes: np.ndarray
    """(C,) int64."""

    @staticmethod
    def of(lists: Sequence[np.ndarray]) -> "Rows":
        sizes = np.array([len(rows) for rows in lists], np.int64)
        return Rows(np.concatenate(lists), np.cumsum(sizes) - sizes, sizes)

    def rows(self, classes_M: np.ndarray, picks_MK: np.ndarray) -> np.ndarray:
        """The `picks`-th rows of each class, (M, K)."""
        found: np.ndarray = self.flat[self.starts[classes_M][:, None] + picks_MK]
        return found


@dataclass(frozen=True, eq=False)
class Lists:
    target: Targets
    support: Rows
    query: Rows
    paired: bool
    """Entry i of a class is the same thing in both, so an episode uses it once; else the two share no image."""

    def room(self, shot: int, query: int) -> np.ndarray:
        """(C,) bool: the class has enough images."""
        if self.paired:
            return np.asarray(self.support.sizes >= shot + query)
        return np.asarray((self.support.sizes >= shot) & (self.query.sizes >= query))

    def fitting(self, shot: int, query: int, way: int) -> np.ndarray:
        """The classes that are large enough, way 0 asking for all; those that are not are named in the log.

        Raises `BadValue`: fewer than `way` (or 2) are left. The text says which are too small and what would fit.
        """
        enough, names = self.room(shot, query), self.target.classes
        fitting, present = np.flatnonzero(enough), np.flatnonzero(self.support.sizes + self.query.sizes)
        short = [f"{names[i]} ({self._count(i)})" for i in present if not enough[i]]
        need = f"{shot + query} images" if self.paired else f"{shot} support and {query} query images"
        if len(fitting) < max(way, 2):
            if len(present) < way:
                raise BadValue(
                    f"--ways {way}: only {len(present)} classes of column {self.target.column!r} have images here; "
                    f"give --ways {len(present)} or fewer"
                )
            raise BadValue(
                f"{way or 'all'} ways of {shot} shots and {query} queries need {max(way, 2)} classes of column "
                f"{self.target.column!r} with at least {need}, but {len(fitting)} have them; "
                f"too small: {_some(short)}. {self._what_fits(shot, query, max(way, 2), len(fitting))}"
            )
        if short:
            log.info("%d classes have fewer than %s and do not take part: %s", len(short), need, _some(short))
        return fitting

    def _count(self, i: np.integer) -> str:
        support, query = self.support.sizes[i], self.query.sizes[i]
        return str(support) if self.paired else f"{support} support, {query} query"

    def _what_fits(self, shot: int, query: int, way: int, fitting: int) -> str:
        fits = [f"--ways {fitting} fits"] if fitting >= 2 else []
        queries = next((q for q in range(query - 1, 0, -1) if self.room(shot, q).sum() >= way), 0)
        if queries:
            fits.append(f"--shots {shot} --queries {queries} fits")
        return "; ".join(fits) or f"no --queries fits {shot} shots: give fewer --ways and --shots"


def _some(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def class_lists(
    pool: Pool,
    target: Targets,
    classes: Sequence[str] = (),
    crossing: Crossing | None = None,
    apart: str | None = None,
    seed: int = 0,
) -> Lists:
    """The rows of each class that every feature set has.

    Args:
        classes: only these; empty for all.
        crossing: support rows are of one group, query rows of another.
        apart: a column; of the rows that share its value one is used, whatever their class, or with `crossing` one of
            each group as one entry. Without it the same object could be both support and query.
        seed: picks the one row where several share a value.
    Raises: UnknownName: no such class, group or column.
    """
    index, rows = target.index.astype(np.int64), pool.rows
    if classes:
        index[~np.isin(index, [_number(target, name, "class") for name in classes])] = -1
    rows = rows[index[rows] >= 0]
    sides = [rows]
    if crossing is not None:
        group = pool.target(crossing.column)
        kind = f"group of column {group.column!r}"
        wanted = [_number(group, name, kind) for name in (crossing.support, crossing.query)]
        sides = [rows[group.index[rows] == number] for number in wanted]
    if apart is not None:
        sides = _apart(sides, index, pool.target(apart), seed)
    found = [_by_class(side, index, len(target.classes)) for side in sides]
    return Lists(target, found[0], found[-1], paired=crossing is None or apart is not None)


def _number(target: Targets, name: str, kind: str) -> int:
    if name not in target.classes:
        have = ", ".join(target.classes[:10]) + (", ..." if len(target.classes) > 10 else "")
        raise UnknownName(kind, name, target.classes, f"there are: {have}")
    return target.classes.index(name)


def _apart(sides: Sequence[np.ndarray], index: np.ndarray, value: Targets, seed: int) -> list[np.ndarray]:
    """Of each side one row for each value; of two sides, a row of each for every value and class that both have.

    A row without a value shares none, and stands for itself; it has no partner on another side.
    """
    alone = len(value.classes) + np.arange(len(value.index))
    key = np.where(value.index < 0, alone, value.index).astype(np.int64)
    if len(sides) == 1:
        return [_one_each(sides[0], key, seed)]
    both = index * len(value.classes) + value.index  # a class and a value within it
    one, other = (_one_each(side[value.index[side] >= 0], both, seed) for side in sides)
    _, *same = np.intersect1d(both[one], both[other], return_indices=True)
    one, other = one[same[0]], other[same[1]]
    kept = np.isin(one, _one_each(one, key, seed))  # a value that has several classes is used for one of them
    return [one[kept], other[kept]]


def _one_each(rows: np.ndarray, key: np.ndarray, seed: int) -> np.ndarray:
    """One row of each key, in order of the keys; the seed picks which."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    return shuffled[np.unique(key[shuffled], return_index=True)[1]]


def _by_class(rows: np.ndarray, index: np.ndarray, classes: int) -> Rows:
    """Rows of each class, in their order."""
    order = np.argsort(index[rows], kind="stable")
    edges = np.searchsorted(index[rows][order], np.arange(classes + 1))
    return Rows.of([rows[order[low:high]] for low, high in pairwise(edges)])
