"""Mean and variance of every column in one streamed pass, in float64."""

from dataclasses import dataclass

import numpy as np

from store.batches import sequential
from store.concat import Concat

_ROWS = 256
"""Turned into float64 at a time."""


@dataclass(frozen=True)
class Moments:
    count: int
    mean: np.ndarray
    """(D,) float64"""
    var: np.ndarray
    """(D,) float64, over N, not N - 1"""

    @property
    def std(self) -> np.ndarray:
        std: np.ndarray = np.sqrt(self.var)
        return std


class MomentsFitter:
    """Running sums; `update` takes rows in any portions.

    Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (1983), equations 1.5.
    """

    def __init__(self, dim: int) -> None:
        self.count, self.mean, self.squares = 0, np.zeros(dim), np.zeros(dim)

    def update(self, x_ND: np.ndarray) -> None:
        """x_ND: any float dtype; the sums run in float64. Not modified."""
        for start in range(0, len(x_ND), _ROWS):
            self._update(x_ND[start : start + _ROWS].astype(np.float64))

    def _update(self, x_ND: np.ndarray) -> None:
        mean = x_ND.mean(axis=0)
        squares = np.square(x_ND - mean).sum(axis=0)
        total = self.count + len(x_ND)
        shift = mean - self.mean
        self.squares += squares + shift**2 * (self.count * len(x_ND) / total)
        self.mean += shift * (len(x_ND) / total)
        self.count = total

    def result(self) -> Moments:
        return Moments(self.count, self.mean.copy(), self.squares / max(self.count, 1))


def moments(x: Concat) -> Moments:
    """Column moments of a whole concatenation; memory stays at a few blocks."""
    fitter = MomentsFitter(x.dim)
    for _, batch in sequential(x):
        fitter.update(batch)
    return fitter.result()
