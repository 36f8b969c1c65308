"""Which samples a step sees where groups count alike, however large they are. Positions and numpy alone.

An epoch's draw depends on (seed, epoch) and nothing before it. Within it the samples of a group come in a random order,
and anew when they are used up; upstream draws them afresh for each batch, so that some are seen late.
"""

import numpy as np

PER_BATCH = 2
"""Groups in a batch of `two_groups`."""


def two_groups(group_N: np.ndarray, batch: int, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Batches of two distinct groups, uniform over pairs, half a batch each.

    Args:
        group_N: (N,) ints from 0; each number below the largest occurs. batch: even.
    Returns: positions (S, batch) and groups (S, 2) of the S = N // batch batches of the epoch, at least one; the first
        half of a row is of the first of its groups.
    Source: WILDS' GroupSampler with uniform_over_groups, distinct_groups and n_groups_per_batch 2.
    """
    rng = np.random.default_rng([seed, epoch])
    num_groups, steps = int(group_N.max()) + 1, max(1, len(group_N) // batch)
    groups = rng.random((steps, num_groups)).argsort(1)[:, :PER_BATCH]
    drawn = _drawn(group_N, np.repeat(groups, batch // PER_BATCH, axis=1), rng)
    return drawn, groups


def any_groups(group_N: np.ndarray, batch: int, seed: int, epoch: int) -> np.ndarray:
    """(S, batch) positions: the group of each is drawn uniformly by itself.

    Source: WILDS' standard loader with uniform_over_groups, which groupDRO has.
    """
    rng = np.random.default_rng([seed, epoch])
    shape = (max(1, len(group_N) // batch), batch)
    return _drawn(group_N, rng.integers(0, int(group_N.max()) + 1, shape), rng)


def _drawn(group_N: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A position of each group that is wanted."""
    positions = np.empty(wanted.shape, np.int64)
    for g in range(int(group_N.max()) + 1):
        mine, members = wanted == g, np.flatnonzero(group_N == g)
        need = int(mine.sum())
        rounds = [rng.permutation(members) for _ in range(-(-need // len(members)))]
        positions[mine] = np.concatenate([*rounds, members[:0]])[:need]
    return positions
