"""Sums over the processes of torchrun; one process adds nothing."""

import os
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from store.runtime import rank, size


def start(device: torch.device) -> None:
    """Join the others, if `torchrun` started several of us."""
    if "RANK" in os.environ and size() > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def stop() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def add(value: Tensor) -> Tensor:
    """The sum over ranks; in place where there are several."""
    if dist.is_initialized():
        dist.all_reduce(value)
    return value


def is_first() -> bool:
    return not dist.is_initialized() or rank() == 0


def share(count: int) -> range:
    """The rows that this rank works on: a contiguous part, sizes differing by one at most."""
    if not dist.is_initialized():
        return range(count)
    return range(count * rank() // size(), count * (rank() + 1) // size())


def count() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def gather(rows: np.ndarray) -> np.ndarray:
    """The rows of every rank, one rank after the other, on every rank."""
    if not dist.is_initialized():
        return rows
    parts: list[Any] = [None] * count()
    dist.all_gather_object(parts, rows)
    return np.concatenate(parts)
