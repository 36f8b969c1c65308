"""Sums over the processes of torchrun; one process adds nothing."""

import os

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
