"""What keeps support and query apart: images that stand in the pool more than once, and units."""

from collections.abc import Sequence

import numpy as np

from fewshot.config import FewshotConfig
from fewshot.episodes import EpisodeSet
from fewshot.pool import Pool
from store.errors import BadValue
from store.overlap import contents, warn_unseen
from store.samples import UNIT

ALL_IMAGES = "none"
"""What --apart takes to turn off that units are kept apart."""


def apart_column(config: FewshotConfig, pool: Pool) -> str | None:
    """The column of which no value is both support and query: what was asked for, else `unit` where splits have it."""
    if config.apart == ALL_IMAGES:
        return None
    return config.apart or (UNIT if all(UNIT in samples.targets for samples in pool.samples) else None)


def used_rows(sets: Sequence[EpisodeSet]) -> np.ndarray:
    """The pool rows that episodes use, ascending."""
    return np.unique(
        np.concatenate([rows.ravel() for s in sets for b in s.batches for rows in (b.support_EWS, b.query_EWQ)])
    )


def check_once(pool: Pool, rows: np.ndarray, *, allowed: bool) -> dict[str, int]:
    """How many of these rows show an image that an earlier row shows: {"train/test": 3, "novel": 1}, by their splits.

    Raises `BadValue`, unless it is `allowed`: there is one. The text has how many, and which.
    """
    hashes = _contents(pool, rows)
    seen = np.flatnonzero(hashes.view(np.uint8).reshape(-1, 16).any(axis=1))
    of_split = np.searchsorted(pool.starts, rows, "right") - 1
    blind = np.setdiff1d(of_split, of_split[seen])
    warn_unseen([f"{pool.samples[int(i)].dataset}/{pool.splits[int(i)]}" for i in blind])
    _, first, inverse = np.unique(hashes[seen], return_index=True, return_inverse=True)
    earlier = seen[first[inverse]]
    again, before = rows[seen[seen != earlier]], rows[earlier[seen != earlier]]
    if again.size and not allowed:
        raise BadValue(
            f"{len(again)} of the {len(rows)} images that episodes are drawn from are the same as another, byte for "
            f"byte, first {pool.sample(int(again[0]))!r} = {pool.sample(int(before[0]))!r}: one would be support, "
            "the other query. Take them out of one split and extract it again, name fewer splits (--split), or give "
            "--allow-duplicates: then the table and the record say so"
        )
    splits_of = [np.searchsorted(pool.starts, which, "right") - 1 for which in (before, again)]
    pairs, counts = np.unique(np.sort(np.stack(splits_of), axis=0), axis=1, return_counts=True)
    return {
        "/".join(dict.fromkeys(pool.splits[int(i)] for i in pair)): int(count)
        for pair, count in zip(pairs.T, counts, strict=True)
    }


def check_units(pool: Pool, sets: Sequence[EpisodeSet], column: str) -> None:
    """Raise `BadValue` where a value of `column` is both support and query of an episode."""
    value_N = pool.target(column).index
    count = 0
    for batch in (batch for episodes in sets for batch in episodes.batches):
        for support, query in zip(value_N[batch.support_EWS], value_N[batch.query_EWQ], strict=True):
            shared = np.intersect1d(support, query)
            count += bool((shared >= 0).any())
    if count:
        raise BadValue(
            f"in {count} of {sum(map(len, sets))} episodes a value of {column!r} is both support and query: draw new "
            f"ones, which keep them apart, or give --apart {ALL_IMAGES}"
        )


def _contents(pool: Pool, rows: np.ndarray) -> np.ndarray:
    """(n,) void of 16 bytes: the hash of each row's image, zeros where no feature set saw it."""
    hashes = np.zeros(len(rows), "V16")
    edges = np.searchsorted(rows, pool.starts)
    for concat, start, low, high in zip(pool.everything, pool.starts, edges[:-1], edges[1:], strict=False):
        inside = rows[low:high] - start
        hashes[low:high] = contents(concat, inside if concat.rows is None else np.searchsorted(concat.rows, inside))
    return hashes
