"""How many backbones are fed from one decode: as many as the memory holds."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from extract.forward.network import Network

log = logging.getLogger("extract")

Named = tuple[Network, list[str]]
SHARE = 0.5
"""Of the free memory that weights and blocks may take; the rest is for what flows through one network at a time."""


def in_packs(nets: Sequence[Named], views: int, block_rows: int) -> list[list[Named]]:
    """The backbones in passes over the images, in order; one that does not fit beside others has a pass alone."""
    if len(nets) < 2:
        return [list(nets)]
    room = SHARE * free_memory(nets[0][0].device)
    packs: list[list[Named]] = [[]]
    used = 0.0
    for net, names in nets:
        need = memory_needed(net, views, block_rows)
        if packs[-1] and used + need > room:
            packs.append([])
            used = 0.0
        packs[-1].append((net, names))
        used += need
    if len(packs) > 1:
        passes = " | ".join(",".join(name for _, names in pack for name in names) for pack in packs)
        log.info("%d passes over the images, as %.1f GB may be filled: %s", len(packs), room / 1e9, passes)
    return packs


def memory_needed(net: Network, views: int, block_rows: int) -> int:
    """Bytes: the weights, and for each view one block in the network and one on its way to the store, float32."""
    blocks = 2 * views * block_rows * sum(net.dims) * 4
    return net.loaded.num_bytes + (blocks if net.device.type == "cpu" else 0)


def free_memory(device: torch.device) -> float:
    """Bytes that can be had on `device`; infinite where it cannot be told."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    limit, used = (_read_number(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    return min([*found, limit - used], default=float("inf"))


def _read_number(path: str) -> float:
    """Of a container's limits; infinite or 0 where there is none."""
    try:
        return float(Path(path).read_text())
    except (OSError, ValueError):
        return float("inf") if path.endswith("max") else 0.0
