"""Folds and held-out parts: stratified by class, and images that belong together stay together."""

import logging

import numpy as np

from store.errors import BadValue

log = logging.getLogger("probe")
VAL_PART = 5
"""Without a val split every fifth training sample of each class is held out."""


def stratified(y_N: np.ndarray, parts: int, seed: int, unit_N: np.ndarray | None = None) -> np.ndarray:
    """(N,) the part, 0 to parts - 1, of every sample: each class is spread as evenly as units allow.

    Args:
        unit_N: samples of one number go into one part; None: each stands for itself.
    Returns: -1, a sample that is in no part and always trained on, where its class would else be all in one part.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y_N))
    order = order[np.argsort(y_N[order], kind="stable")]
    part_N = np.empty(len(y_N), np.int64)
    part_N[order] = np.arange(len(y_N)) % parts
    if unit_N is not None:
        part_N = _by_units(y_N, parts, rng, unit_N)
    return _keep_each_class(y_N, part_N, unit_N)


def held_fifth(y_N: np.ndarray, seed: int, unit_N: np.ndarray | None = None) -> np.ndarray:
    """(N,) bool: the fifth that is held out to choose on. Raises `BadValue`: no class has two units."""
    part_N = stratified(y_N, VAL_PART, seed, unit_N)
    used = np.unique(part_N[part_N >= 0])
    if not used.size:
        raise BadValue(
            "no class has two samples that could be parted, so none can be held out to choose on: give a --val split, "
            "more samples a class, or evaluate in episodes: python -m fewshot"
        )
    held: np.ndarray = part_N == used[0]
    return held


def _by_units(y_N: np.ndarray, parts: int, rng: np.random.Generator, unit_N: np.ndarray) -> np.ndarray:
    """Each unit, the largest first, goes where its classes have least so far."""
    _, unit_N, sizes = np.unique(unit_N, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(unit_N, kind="stable"), np.cumsum(sizes)[:-1])
    drawn = rng.permutation(len(sizes))
    counts_KC, total_K = np.zeros((parts, int(y_N.max()) + 1)), np.zeros(parts)
    share_C = 1 / np.maximum(np.bincount(y_N), 1)
    part_N = np.empty(len(y_N), np.int64)
    for unit in drawn[np.argsort(-sizes[drawn], kind="stable")]:
        classes, number = np.unique(y_N[rows[unit]], return_counts=True)
        filled_K = counts_KC[:, classes] @ (number * share_C[classes])
        least = int(np.lexsort((total_K, filled_K))[0])
        counts_KC[least, classes] += number
        total_K[least] += len(rows[unit])
        part_N[rows[unit]] = least
    return part_N


def _keep_each_class(y_N: np.ndarray, part_N: np.ndarray, unit_N: np.ndarray | None) -> np.ndarray:
    low, high = np.full(int(y_N.max()) + 1, len(y_N)), np.full(int(y_N.max()) + 1, -1)
    np.minimum.at(low, y_N, part_N)
    np.maximum.at(high, y_N, part_N)
    alone = np.flatnonzero((low == high) & (high >= 0))
    if not alone.size:
        return part_N
    first = np.unique(y_N, return_index=True)
    rows = first[1][np.isin(first[0], alone)]
    kept = np.isin(np.arange(len(y_N)) if unit_N is None else unit_N, rows if unit_N is None else unit_N[rows])
    log.warning("%d classes cannot be parted and keep a sample in training: choosing hears little of them", alone.size)
    return np.where(kept, -1, part_N)
