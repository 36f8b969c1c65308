"""Where training starts: initial weights and batch orders, each episode its own, whatever is evaluated beside it."""

from dataclasses import dataclass

import numpy as np
import torch

EPOCHS = 100
"""Passes over the support set: wyharveychen/CloserLookFewShot methods/baselinefinetune.py."""


@dataclass(frozen=True, eq=False)
class Start:
    weights_EWD: torch.Tensor
    """float32, uniform in +-1 / sqrt(D): the default of torch.nn.Linear."""
    bias_EW: torch.Tensor
    """The same."""
    orders_ETn: torch.Tensor
    """int32: the support images in the order of each of T epochs, a permutation of n."""

    def to(self, device: torch.device) -> "Start":
        return Start(self.weights_EWD.to(device), self.bias_EW.to(device), self.orders_ETn.to(device))


def draw_start(seed: int, number_E: np.ndarray, way: int, support: int, dim: int, epochs: int = EPOCHS) -> Start:
    """The start of the episodes `number_E`: (seed, number) decides."""
    count, bound = len(number_E), dim**-0.5
    weights = np.empty((count, way, dim + 1), np.float32)
    keys = np.empty((count, epochs, support), np.uint32)
    for i, number in enumerate(number_E.tolist()):
        rng = np.random.Generator(np.random.SFC64([seed, number]))
        rng.random(out=weights[i], dtype=np.float32)
        keys[i] = rng.integers(0, 1 << 32, keys[i].shape, np.uint32)
    weights *= 2 * bound
    weights -= bound
    # sorting random numbers whose last bits are replaced by the position shuffles the positions
    mask = np.uint32((1 << (support - 1).bit_length()) - 1)
    keys &= ~mask
    keys |= np.arange(support, dtype=np.uint32)
    keys.sort(axis=-1)
    keys &= mask
    drawn = torch.from_numpy(weights)
    return Start(drawn[:, :, :dim], drawn[:, :, dim], torch.from_numpy(keys.view(np.int32)))
