"""Batches of two distinct groups, drawn uniformly, half a batch each: those of WILDS' group loader."""

from collections.abc import Iterator

import numpy as np

PER_BATCH = 2
"""Groups in a batch."""


def balanced(group_N: np.ndarray, num_groups: int, batch: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each epoch: positions (S, batch) and the two groups (S, 2) of its S = N // batch batches, at least one.

    The first half of a row is of its first group. A group's rows come in a random order, and anew when it is used up:
    WILDS draws each batch afresh, so that some rows are seen later.
    """
    rng = np.random.default_rng([seed, 1])
    where = [np.flatnonzero(group_N == g) for g in range(num_groups)]
    left = [where[g][:0] for g in range(num_groups)]
    steps, half = max(1, len(group_N) // batch), batch // PER_BATCH
    while True:
        groups = rng.random((steps, num_groups)).argsort(1)[:, :PER_BATCH]
        positions = np.empty((steps, PER_BATCH, half), np.int64)
        for g in range(num_groups):
            mine = groups == g
            need = int(mine.sum()) * half
            while len(left[g]) < need:
                left[g] = np.concatenate([left[g], rng.permutation(where[g])])
            positions[mine] = left[g][:need].reshape(-1, half)
            left[g] = left[g][need:]
        yield positions.reshape(steps, -1), groups
