"""Sums over the processes of torchrun; one process adds nothing.

Ranks share the rows: each reads a part of them and holds whole heads. Or they share the classes, where heads are too
large: each reads all rows and holds a part of every head's rows. Then sums over rows need nobody else.
"""

import os
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from store.errors import BadValue
from store.runtime import rank, size

_shared = "rows"


def start(device: torch.device, shared: str = "rows") -> None:
    """Join the others, if `torchrun` started several of us. shared: rows or classes."""
    global _shared  # noqa: PLW0603  (as the process group itself)
    if "RANK" in os.environ and size() > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        _shared = shared


def stop() -> None:
    global _shared  # noqa: PLW0603
    if dist.is_initialized():
        dist.destroy_process_group()
        _shared = "rows"


def _by(shared: str) -> bool:
    return dist.is_initialized() and _shared == shared


def add(value: Tensor) -> Tensor:
    """The sum over what ranks share the rows of; in place where there are several."""
    if _by("rows"):
        dist.all_reduce(value)
    return value


def agree(vote: bool) -> bool:
    """Whether every rank votes so."""
    if not dist.is_initialized():
        return vote
    votes: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(votes, vote)
    return all(votes)


def classes_shared() -> bool:
    return _by("classes")


def classes(total: int) -> range:
    """The classes whose weights this rank holds: all, unless ranks share them."""
    if not _by("classes"):
        return range(total)
    if size() > total:
        raise BadValue(f"--shard classes: {size()} ranks cannot share {total} classes; start at most {total}")
    return range(total * rank() // size(), total * (rank() + 1) // size())


def add_classes(value: Tensor) -> Tensor:
    """The sum over what ranks share the classes of; in place where there are several."""
    if _by("classes"):
        dist.all_reduce(value)
    return value


def most_classes(value: Tensor) -> Tensor:
    """The largest over what ranks share the classes of; in place where there are several."""
    if _by("classes"):
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return value


def gather_classes(part: Tensor, total: int) -> Tensor:
    """All `total` rows of a tensor, the first axis of which ranks share as `classes` says; on every rank."""
    if not _by("classes"):
        return part
    mine = classes(total)
    whole = part.new_zeros((total, *part.shape[1:]))
    whole[mine.start : mine.stop] = part
    dist.all_reduce(whole)
    return whole


def is_first() -> bool:
    return not dist.is_initialized() or rank() == 0


def share(count: int) -> range:
    """The rows that this rank works on: a contiguous part, sizes differing by one at most."""
    if not _by("rows"):
        return range(count)
    return range(count * rank() // size(), count * (rank() + 1) // size())


def count() -> int:
    """Ranks that share the rows."""
    return dist.get_world_size() if _by("rows") else 1


def gather(rows: np.ndarray) -> np.ndarray:
    """The rows of every rank, one rank after the other, on every rank."""
    if not _by("rows"):
        return rows
    parts: list[Any] = [None] * count()
    dist.all_gather_object(parts, rows)
    return np.concatenate(parts)
