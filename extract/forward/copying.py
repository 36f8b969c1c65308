"""Pixels to a device and features back, so that on CUDA nobody waits: the copies run beside the network.

On other devices they are plain copies.
"""

from collections.abc import Callable

import numpy as np
import torch


class Copies:
    """The way to one device and back; on CUDA with pinned memory, and a stream of its own for pixels."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.pin = device, device.type == "cuda"
        self.stream = torch.cuda.Stream(device) if self.pin else None  # type: ignore[no-untyped-call]

    def send(self, pixels: torch.Tensor) -> torch.Tensor:
        """`pixels`, from memory that is pinned where `pin` says so, on the device, for the stream that is current."""
        if self.stream is None:
            return pixels.to(self.device)
        with torch.cuda.stream(self.stream):  # while the network is at the batch before
            there = pixels.to(self.device, non_blocking=True)
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self.stream)
        there.record_stream(current)  # its memory is not used again before the network has read it
        return there

    def fetch(self, x_BD: torch.Tensor) -> Callable[[], np.ndarray]:
        """Send features on their way back; what is returned waits for them alone, not for what was sent behind them."""
        if self.stream is None:
            return lambda: _numpy(x_BD.float())
        here = torch.empty(x_BD.shape, dtype=torch.float32, pin_memory=True)
        with torch.cuda.device(self.device):
            here.copy_(x_BD.float(), non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record()

        def features() -> np.ndarray:
            done.synchronize()
            return _numpy(here)

        return features


def _numpy(x_BD: torch.Tensor) -> np.ndarray:
    array: np.ndarray = x_BD.cpu().numpy()
    return array
