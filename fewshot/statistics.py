"""Means over episodes, and how sure they are."""

import numpy as np


def half_interval(values_E: np.ndarray) -> float | None:
    """Half of the 95 % interval of the mean, 1.96 std / sqrt(E), as Chen et al. 2019 report it; None of one value."""
    return None if len(values_E) < 2 else float(1.96 * values_E.std() / np.sqrt(len(values_E)))


def paired(a_E: np.ndarray, b_E: np.ndarray) -> tuple[float, float | None]:
    """The mean of b - a over the same episodes, and half of its 95 % interval."""
    return float((b_E - a_E).mean()), half_interval(b_E - a_E)


def spread(values_E: np.ndarray, repeats: int) -> float | None:
    """Standard deviation of the means of `repeats` runs of episodes (n - 1); None for a single run."""
    means = values_E.reshape(repeats, -1).mean(axis=1)
    return float(means.std(ddof=1)) if repeats > 1 else None
