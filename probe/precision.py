"""Whether products in bfloat16 are used: measured once in a process, because processors without it only emulate it."""

import time
from functools import cache

import torch

from probe import ranks

GAIN = 1.4
"""So many times faster a bfloat16 product must be to be used unasked."""
SHAPE = (512, 2048, 256)


@cache
def bfloat16_gain(device: torch.device) -> float:
    """Seconds of a float32 product over those of the same one in bfloat16, on this machine; 0 where it has none."""
    n, d, c = SHAPE
    sides = []
    for dtype in (torch.float32, torch.bfloat16):
        try:
            a, b = (torch.ones(shape, dtype=dtype, device=device) for shape in ((n, d), (d, c)))
            sides.append(min(_seconds(a, b) for _ in range(5)))
        except RuntimeError:
            return 0.0
    return sides[0] / sides[1]


def _seconds(a: torch.Tensor, b: torch.Tensor) -> float:
    start = time.perf_counter()
    torch.mm(a, b)
    if a.is_cuda:
        torch.cuda.synchronize(a.device)
    return time.perf_counter() - start


@cache
def faster(device: torch.device) -> bool:
    """Whether bfloat16 pays on every rank: all ranks get the same answer."""
    votes = ranks.add(torch.tensor([float(bfloat16_gain(device) >= GAIN)], device=device))
    return float(votes) == ranks.count()
