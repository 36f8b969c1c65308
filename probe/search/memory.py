"""How many walks of the lattice, and how many scored rows, fit into memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from probe.memory import RESERVE, free_memory, resident
from probe.search.candidates import Candidates
from store.errors import BadValue

MIN_CHUNK = 256
"""Scored rows held at a time, at least."""


@dataclass(frozen=True)
class Plan:
    chunk: int
    """Scored rows held as float32 at a time."""
    threads: int
    """Walks at a time."""


def plan_memory(found: Candidates, budget: int | None, held: Sequence[int], threads: int, subsets: int) -> Plan:
    """As many walks at a time as fit with all scored rows; else one, with some of them at a time.

    Args:
        budget: bytes of the whole process; None: half of what is free. threads: walks at most.
        held: scored rows of each round.
        subsets: scored at a time; which rows each gets right is kept, a byte a row.
    Raises: BadValue: even a few rows do not fit.
    """
    dims, C = found.dims, len(found.classes)
    rows, total = max(held), sum(held)
    stored = 4 if any(part.manifest.dtype == "float32" for part in found.splits["train"].x.parts) else 2
    fixed = 8 * len(held) * _pairs(dims) + stored * total * sum(dims) + 2 * subsets * total + RESERVE
    left = (free_memory() // 2 if budget is None else budget - resident()) - fixed
    walk, each = walk_bytes(dims, C)
    walk += subsets * total
    shared = 8 * sum(dims)  # the rows as they are prepared, and transposed
    for count in range(threads, 0, -1):
        if rows * shared + count * (walk + rows * each) <= left:
            return Plan(rows, count)
    chunk = (left - walk) // (shared + each)
    if chunk < min(rows, MIN_CHUNK):
        have = "half of what is free" if budget is None else f"--memory {budget / 1e9:.2f} GB"
        need = fixed + walk + min(rows, MIN_CHUNK) * (shared + each) + (resident() if budget is not None else 0)
        raise BadValue(
            f"{have} is too little: {len(dims)} candidates of {sum(dims)} columns together and {rows} scored rows need "
            f"{need / 1e9:.2f} GB; give more, or fewer --features"
        )
    return Plan(chunk, 1)


def walk_bytes(dims: Sequence[int], classes: int) -> tuple[int, int]:
    """What one walk takes in any order of the blocks, and what each scored row adds to it."""
    dims = sorted(dims)  # narrow blocks first leave most behind them
    behind = [_pairs(dims[k:]) for k in range(len(dims) + 1)]
    widest = dims[-1]
    factors = 8 * widest * (sum(dims) + classes) + sum(4 * dim * (dim + sum(dims[k:])) for k, dim in enumerate(dims))
    columns = [sum(dims[k:]) for k in range(len(dims) + 1)]
    return 8 * _copies(behind) + factors, 4 * (_copies(columns) + widest + classes * (2 * len(dims) + 1))


def _copies(behind: Sequence[int]) -> int:
    """The most that is alive on a way down, where a node's first child overwrites it, and no other.

    Args:
        behind: of each block what it and those after it take; 0 at the end.
    """
    count = len(behind) - 1
    own = [0] * (count + 1)
    for k in reversed(range(count)):
        own[k] = max((0 if child == k else behind[child + 1]) + own[child + 1] for child in range(k, count))
    return max(behind[child + 1] + own[child + 1] for child in range(count))


def _pairs(dims: Sequence[int]) -> int:
    """Numbers in the upper blocks of a Gram matrix."""
    return (sum(dims) ** 2 + sum(dim * dim for dim in dims)) // 2
