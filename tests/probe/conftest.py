"""Small problems in memory, for every solver."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from probe.data import Data, Held
from probe.prepare import Prepare


def _data_of(x_ND: np.ndarray, y_N: np.ndarray, num_classes: int | None = None) -> Data:
    dim, count = x_ND.shape[1], num_classes or int(y_N.max()) + 1
    source = Held(x_ND.astype(np.float32))
    here = np.arange(len(y_N))
    return Data(((source, here),), here, y_N.astype(np.int64), count, Prepare([dim], [[]]), torch.device("cpu"))


def _made(n: int, d: int, c: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y_N = np.arange(n) % c
    return (rng.normal(size=(c, d))[y_N] * 0.7 + rng.normal(size=(n, d))).astype(np.float32), y_N


@pytest.fixture
def data_of() -> Callable[..., Data]:
    """`data_of(x_ND, y_N, num_classes)` -> Data held in memory, columns as they are."""
    return _data_of


@pytest.fixture
def made() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """`made(n, d, c, seed)` -> features (n, d) float32 around c class centres, and classes."""
    return _made
