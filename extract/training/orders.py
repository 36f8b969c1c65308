"""In which order an objective sees its images: shuffled, or groups alike however large they are."""

import numpy as np
from torch import Tensor

from extract.training.batches import Order, shuffled
from store.balanced import PER_BATCH, any_groups, two_groups
from store.errors import BadValue


def order_of(objective: str, rows: np.ndarray, group_N: Tensor | None, batch: int, seed: int) -> Order:
    """Batches of two groups for vrex, of any for groupdro, each uniform over groups; else shuffled, as for erm.

    Args:
        rows: of the samples. group_N: (N,) the group of every sample, from 0, each occurring among `rows`.
    Raises: BadValue: no groups; a batch of two groups that is odd.
    """
    if objective not in ("vrex", "groupdro"):
        return shuffled(rows, batch, seed)
    if group_N is None:
        raise BadValue(
            f"--objective {objective} needs --group COLUMN: which target column says what group an image is of"
        )
    groups: np.ndarray = group_N.numpy()[rows]
    size = min(batch, len(rows) // PER_BATCH * PER_BATCH)
    if objective == "groupdro":
        return lambda epoch: rows[any_groups(groups, size, seed, epoch)]
    if batch % PER_BATCH:
        raise BadValue(f"--batch {batch}: half of it is of each of {PER_BATCH} groups, so it must be even")
    return lambda epoch: rows[two_groups(groups, size, seed, epoch)[0]]
