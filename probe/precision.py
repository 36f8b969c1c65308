"""Whether products in bfloat16 are used: measured once in a process, because processors without it only emulate it."""

import time
from functools import cache

import torch

from probe import ranks

GAIN = 1.3
"""So many times faster bfloat16 products must be to be used unasked."""
MOST = 4096
"""Columns and classes that are measured at most."""


@cache
def bfloat16_gain(device: torch.device, rows: int, dim: int, classes: int) -> float:
    """Seconds of the two products of a pass over `rows` in float32, over those in bfloat16 with its conversions."""
    x, w = torch.ones((rows, dim), device=device), torch.ones((classes, dim), device=device)
    try:
        exact, low = (min(_seconds(x, w, dtype) for _ in range(4)) for dtype in (torch.float32, torch.bfloat16))
    except RuntimeError:  # a device without bfloat16
        return 0.0
    return exact / low


def _seconds(x_BD: torch.Tensor, w_CD: torch.Tensor, dtype: torch.dtype) -> float:
    start = time.perf_counter()
    x = x_BD.to(dtype)
    logits = torch.mm(x, w_CD.to(dtype).T).float()
    torch.mm(logits.to(dtype).T, x).float()
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - start


def faster(device: torch.device, rows: int, dim: int, classes: int) -> bool:
    """Whether bfloat16 pays for such passes on every rank: all ranks get the same answer."""
    return ranks.agree(bfloat16_gain(device, rows, min(dim, MOST), min(classes, MOST)) >= GAIN)
