"""What is held in memory and what is streamed, so that the whole process keeps its budget."""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probe.data import CHUNK_BYTES, Streamed
from store.errors import BadValue

if TYPE_CHECKING:
    from probe.splits import Split

log = logging.getLogger("probe")
PAIRS = (3, 20)
"""Fewest and most curvature pairs that L-BFGS keeps."""
RESERVE = 64 << 20
"""What allocators and the libraries' threads keep beside what is asked of them, measured."""
CHUNKS = 6
"""Copies of a chunk that are alive at once: as read, as float32, its logits and what they become."""


def lbfgs_bytes(dim: int, classes: int, members: int, pairs: int) -> int:
    """Pairs of vectors, nine that a run works on, two kept of each weight decay; float32."""
    return 4 * classes * (dim + 1) * (2 * pairs + 9 + 2 * members)


LIBRARIES = {"sgd": 200 << 20, "cosine": 200 << 20}
"""Bytes that a solver's imports take when it starts: torch.optim loads torch's compiler."""
WORKSPACE: dict[str, Callable[[int, int, int], int]] = {
    "lbfgs": lambda dim, classes, members: lbfgs_bytes(dim, classes, members, PAIRS[0]),
    "sgd": lambda dim, classes, members: 4 * 6 * members * classes * dim,
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
    splits: "dict[str, Split]", budget: int | None, solver: str, classes: int, members: int
) -> "tuple[dict[str, Split], int]":
    """Load the splits that fit, in the dtype they are stored in; the others stay on disk and are streamed.

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
        blocks = sum(part.manifest.block_rows * part.dim * 4 for part in next(iter(splits.values())).x.parts)
        work = WORKSPACE[solver](dim, classes, members) + CHUNKS * CHUNK_BYTES + blocks + LIBRARIES.get(solver, 0)
        work += RESERVE
        left = budget - resident() - work
        if left < 0:
            raise BadValue(
                f"--memory {budget / 1e9:.2f} GB: {solver} on {dim} columns, {classes} classes and {members} grid "
                f"members needs {(budget - left) / 1e9:.2f} GB beside the features: give more, or a smaller grid"
            )
    kept = {}
    for role, split in splits.items():
        source, rows = split.data.pieces[0]
        size = len(rows) * source.shape[1] * source.dtype.itemsize
        if isinstance(source, Streamed) and size <= left:
            left -= size
            split = replace(split, data=replace(split.data, pieces=((source.load(rows), np.arange(len(rows))),)))  # noqa: PLW2901
        else:
            log.info("%s: %.2f GB do not fit in the memory given: streamed", role, size / 1e9)
        kept[role] = split
    more = left // (8 * classes * (dim + 1)) if budget is not None else PAIRS[1]
    return kept, min(PAIRS[1], PAIRS[0] + more)
