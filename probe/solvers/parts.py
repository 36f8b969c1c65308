"""A grid shared out over threads, each of which trains some members through whole steps.

Threads of one operation wait for each other after every operation, and a step of a small layer has dozens. Members of a
grid do not depend on each other: threads of their own need not meet before the epoch ends, and what belongs to a member
stays in the cache of one core. While they work the next batches are read.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from queue import Queue
from typing import TypeVar

import torch

from probe import ranks

Part = TypeVar("Part")
Batch = TypeVar("Batch")
AHEAD = 2
"""Batches that wait for a part at most."""


def split(members: Sequence[Part], device: torch.device) -> list[Sequence[Part]]:
    """The members in as many parts as shall be trained side by side: one on a GPU, and where ranks add up sums."""
    alone = device.type != "cpu" or ranks.count() > 1 or ranks.classes_shared()
    count = 1 if alone else num_parts(len(members), torch.get_num_threads())
    return [members[low:high] for low, high in pairwise(len(members) * part // count for part in range(count + 1))]


def num_parts(members: int, threads: int) -> int:
    """So many parts that the largest ends soonest, if a thread more is that much faster; of equals the most parts."""

    def merit(parts: int) -> tuple[float, int]:
        largest = -(-members // parts)
        return largest / (threads // parts), -parts

    return min(range(1, min(members, threads) + 1), key=merit)


def train(step: Callable[[Part, Batch], None], parts: Sequence[Part], batches: Iterable[Batch]) -> None:
    """`step(part, batch)` for every batch in turn, in each part by a thread of its own that waits for no other.

    Batches are made in this thread, up to AHEAD before they are needed; what a step raises is raised here at the end.
    """
    if len(parts) == 1:
        for batch in batches:
            step(parts[0], batch)
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // len(parts)))  # of the threads that start from now on, too
    queues: list[Queue[Batch | None]] = [Queue(AHEAD) for _ in parts]
    try:
        with ThreadPoolExecutor(len(parts)) as pool:
            working = [pool.submit(_work, step, part, queue) for part, queue in zip(parts, queues, strict=True)]
            try:
                for batch in batches:
                    for queue in queues:
                        queue.put(batch)
            finally:
                for queue in queues:
                    queue.put(None)
            for one in working:
                one.result()
    finally:
        torch.set_num_threads(threads)


def _work(step: Callable[[Part, Batch], None], part: Part, queue: "Queue[Batch | None]") -> None:
    waiting = iter(queue.get, None)
    try:
        for batch in waiting:
            step(part, batch)
    except BaseException:
        for _ in waiting:  # else the queue fills, and nobody could go on
            pass
        raise
