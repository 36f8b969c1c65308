"""Episodes: which images are support, which are query. Drawn from a seed, shared by every method and backbone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fewshot.config import ALL, Span
from fewshot.lists import Lists

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
    """Each episode's number in its set, int64: seeds its initial weights and batch orders."""

    def __len__(self) -> int:
        return len(self.number_E)

    @property
    def way(self) -> int:
        return int(self.support_EWS.shape[1])

    @property
    def rows_per_episode(self) -> int:
        return self.way * int(self.support_EWS.shape[2] + self.query_EWQ.shape[2])

    def take(self, which: slice | np.ndarray) -> "Episodes":
        return Episodes(self.support_EWS[which], self.query_EWQ[which], self.classes_EW[which], self.number_E[which])

    def pieces(self, most: int) -> Iterator["Episodes"]:
        """Up to `most` episodes at a time, in order."""
        return (self.take(slice(start, start + most)) for start in range(0, len(self), most))


@dataclass(frozen=True, eq=False)
class EpisodeSet:
    """The episodes of one row of the table, by shape where ways or shots vary."""

    ways: str
    shots: str
    queries: int
    repeats: int
    """Numbers 0 to E / repeats - 1 are the first repeat, and so on."""
    batches: tuple[Episodes, ...]
    classes: int
    """How many classes they are drawn from: those with enough images."""

    def __len__(self) -> int:
        return sum(map(len, self.batches))


def draw_set(lists: Lists, ways: Span, shots: Span, queries: int, episodes: int, repeats: int, seed: int) -> EpisodeSet:
    """Draw `episodes` times `repeats` episodes; where a range is given, each draws its own way and shot.

    The same arguments give the same episodes on every machine. Raises `BadValue`: too few classes are large enough.
    """
    fitting = lists.fitting(shots.high, queries, ways.high)
    low, high = (len(fitting), len(fitting)) if ways == ALL else (ways.low, ways.high)
    rng, count = np.random.default_rng([seed, low, high, shots.low, shots.high, queries]), episodes * repeats
    way_E, shot_E = rng.integers(low, high + 1, count), rng.integers(shots.low, shots.high + 1, count)
    batches = []
    for way, shot in np.unique(np.stack([way_E, shot_E]), axis=1).T:
        number_E = np.flatnonzero((way_E == way) & (shot_E == shot))
        batches.append(_draw(rng, lists, fitting, int(way), int(shot), queries, number_E))
    return EpisodeSet(str(ways), str(shots), queries, repeats, tuple(batches), len(fitting))


def _draw(
    rng: np.random.Generator, lists: Lists, fitting: np.ndarray, way: int, shot: int, query: int, number_E: np.ndarray
) -> Episodes:
    count = len(number_E)
    classes_EW = fitting[_distinct(rng, np.full(count, len(fitting)), way)]
    classes_M = classes_EW.ravel()
    if lists.paired:
        picks_MK = _distinct(rng, lists.support.sizes[classes_M], shot + query)
        support_MS, query_MQ = picks_MK[:, :shot], picks_MK[:, shot:]
    else:
        support_MS = _distinct(rng, lists.support.sizes[classes_M], shot)
        query_MQ = _distinct(rng, lists.query.sizes[classes_M], query)
    support_EWS = lists.support.rows(classes_M, support_MS).reshape(count, way, shot)
    query_EWQ = lists.query.rows(classes_M, query_MQ).reshape(count, way, query)
    return Episodes(support_EWS, query_EWQ, classes_EW.astype(np.int32), number_E)


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
