"""The forward pass: device, memory layout, fixed batch shape."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from extract.recipes import Recipe
from extract.transforms import normalise
from store.errors import BadValue


def pick_device(name: str) -> torch.device:
    """`auto` takes CUDA, then MPS, then the CPU. Raises `BadValue`: a device that is not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise BadValue(f"device {name!r} cannot be used here: {reason}; --device auto takes what there is") from error
    return device


class Forward:
    """(n, 3, h, w) uint8 pixels -> (n, D) float32 features, always in batches of the same shape.

    The last batch of a block is padded, so that a sample's features do not depend on where a run was cut.
    """

    def __init__(self, net: nn.Module, recipe: Recipe, dim: int, device: torch.device, batch_size: int) -> None:
        self.net = net.to(device).to(memory_format=torch.channels_last)
        self.recipe, self.dim, self.device, self.batch_size = recipe, dim, device, batch_size

    @torch.inference_mode()
    def __call__(self, batch: Sequence[torch.Tensor]) -> np.ndarray:
        """Args: batch: up to `batch_size` images (3, h, w) uint8 of one size. Returns: (len(batch), D)."""
        shape = (self.batch_size, *batch[0].shape)
        pixels = torch.zeros(shape, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
        torch.stack(list(batch), out=pixels[: len(batch)])
        x_BCHW = normalise(pixels.to(self.device), self.recipe).contiguous(memory_format=torch.channels_last)
        x_BD = self.net(x_BCHW)
        if x_BD.shape != (self.batch_size, self.dim):
            need = (self.batch_size, self.dim)
            raise BadValue(f"the backbone returns {tuple(x_BD.shape)} for {tuple(x_BCHW.shape)}, must return {need}")
        features: np.ndarray = x_BD[: len(batch)].float().cpu().numpy()
        return features
