"""Which splits are held in memory and which are streamed."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probe.data import Streamed

if TYPE_CHECKING:
    from probe.splits import Split

log = logging.getLogger("probe")


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


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def hold(splits: "dict[str, Split]", budget: int | None) -> "dict[str, Split]":
    """Load the splits that fit, in the dtype they are stored in; the others stay on disk and are streamed."""
    left = budget if budget is not None else free_memory() // 2
    kept = {}
    for role, split in splits.items():
        source, rows = split.data.pieces[0]
        size = len(rows) * source.shape[1] * source.dtype.itemsize
        if isinstance(source, Streamed) and size <= left:
            left -= size
            split = replace(split, data=replace(split.data, pieces=((source.load(rows), np.arange(len(rows))),)))  # noqa: PLW2901
        else:
            log.info("%s: %.1f GB do not fit in the memory given: streamed", role, size / 1e9)
        kept[role] = split
    return kept
