"""What is held in memory and what is streamed, so that the whole process keeps its budget."""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from probe.data import CHUNK_BYTES, Streamed
from store.errors import BadValue

if TYPE_CHECKING:
    from probe.splits import Split

log = logging.getLogger("probe")
PAIRS = (3, 20)
"""Fewest and most curvature pairs that L-BFGS keeps."""
UNASKED = 10
"""Curvature pairs that L-BFGS keeps in any case where no budget is given."""
EPOCHS = {"sgd", "cosine", "balanced", "fullbatch"}
"""Solvers that may score the test split after every epoch."""
FEW_PASSES = {"ridge", "nearest"}
"""Solvers that read the features a few times: holding them would save little."""
RESERVE = 64 << 20
"""What allocators and the libraries' threads keep beside what is asked of them, measured."""
BATCHES = 28
"""Bytes for each row and column of a batch: one as it is read and normalised, and those that wait for a thread."""
CHUNKS = 6
"""Copies of a chunk that are alive at once: as read, as float32, its logits and what they become."""


def lbfgs_bytes(dim: int, classes: int, members: int, pairs: int) -> int:
    """Pairs of vectors, nine that a run works on, two kept of each weight decay; float32."""
    return 4 * classes * (dim + 1) * (2 * pairs + 9 + 2 * members)


WORKSPACE: dict[str, Callable[[int, int, int], int]] = {
    "lbfgs": lambda dim, classes, members: lbfgs_bytes(dim, classes, members, PAIRS[0]),
    "sgd": lambda dim, classes, members: 4 * 7 * members * classes * dim,
    "cosine": lambda dim, classes, members: 4 * 7 * members * classes * dim,
    "ridge": lambda dim, classes, members: 20 * dim**2 + 60 * dim * max(classes, 1024) + 4 * members * classes * dim,
    "nearest": lambda dim, classes, _: 16 * classes * dim,
    "balanced": lambda dim, classes, members: 4 * 4 * members * classes * dim,
    "fullbatch": lambda dim, classes, members: 4 * 8 * members * classes * dim,
}
"""Bytes a solver needs beside the features, by (D, C, grid members). Not listed: it copies the features."""


def free_memory() -> int:
    """Bytes this process may still take: the machine's, or its control group's if that is less."""
    free = 1 << 62
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit, used = _read("/sys/fs/cgroup/memory.max"), _read("/sys/fs/cgroup/memory.current")
    if limit.strip().isdecimal() and used.strip().isdecimal():
        free = min(free, int(limit) - int(used))
    return max(free, 0)


def resident() -> int:
    """Bytes of memory this process has now."""
    pages = _read("/proc/self/statm").split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def hold(
    splits: "dict[str, Split]", budget: int | None, solver: str, classes: int, members: int, batch: int = 256
) -> "tuple[dict[str, Split], int]":
    """Load the splits that fit, in the dtype they are stored in; the others stay on disk and are streamed. What fits in
    half of a GPU's free memory is loaded there.

    Without a budget the aim is 1.5 times the features: on local disks what is read a few times only is streamed (the
    test split, and all splits of FEW_PASSES), and curvature pairs take a quarter of the features' memory.

    Args:
        budget: of the whole process, as its resident memory; None: half of what is free is for the features.
    Returns: the splits, and how many curvature pairs L-BFGS may keep.
    Raises: BadValue: what the solver itself needs does not fit.
    """
    dim = next(iter(splits.values())).data.raw_dim
    if budget is None:
        left, work = free_memory() // 2, 0
    else:
        if solver not in WORKSPACE:
            raise BadValue(f"--solver {solver} copies all features: it cannot keep --memory; take lbfgs, sgd or ridge")
        x = next(iter(splits.values())).x
        blocks = x.stride * x.dim * 4
        work = WORKSPACE[solver](dim, classes, members) + CHUNKS * CHUNK_BYTES + blocks + RESERVE
        work += BATCHES * batch * dim if solver in EPOCHS else 0
        left = budget - resident() - work
        if left < 0:
            raise BadValue(
                f"--memory {budget / 1e6:.0f}MB: {solver} on {dim} columns, {classes} classes and {members} grid "
                f"members needs {(budget - left) / 1e6:.0f}MB beside the features: give more, or a smaller grid"
            )
    kept, held = {}, 0
    for role, split in splits.items():
        source, rows = split.data.pieces[0]
        size = len(rows) * source.shape[1] * source.dtype.itemsize
        few = budget is None and _read_a_few_times(role, split, solver)
        if isinstance(source, Streamed) and size <= left and not few:
            left, held = left - size, held + size
            loaded = source.load(rows, _place(split.data.device, size))
            split = replace(split, data=replace(split.data, pieces=((loaded, np.arange(len(rows))),)))  # noqa: PLW2901
        elif not few:
            if budget is not None and isinstance(source, Streamed):
                source.spare_memory()
            log.info("%s: %.2f GB do not fit in the memory given: streamed", role, size / 1e9)
        kept[role] = split
    pair = 8 * classes * (dim + 1)
    pairs = PAIRS[0] + left // pair if budget is not None else max(UNASKED, held // 4 // pair)
    return kept, min(PAIRS[1], pairs)


def _place(device: torch.device, size: int) -> torch.device:
    fits = device.type == "cuda" and size <= torch.cuda.mem_get_info(device)[0] // 2
    return device if fits else torch.device("cpu")


def _read_a_few_times(role: str, split: "Split", solver: str) -> bool:
    """Whether reading from a local disk again costs less than the memory. Ridge holds rows that are fewer than columns:
    it solves the dual problem.
    """
    data = split.data
    at_the_end = role == "test" and solver not in EPOCHS
    return not data.remote and (at_the_end or (solver in FEW_PASSES and data.total >= data.raw_dim))
