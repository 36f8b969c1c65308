"""Batches of rows from a concatenation, read ahead by one thread; memory stays at a few blocks."""

import queue
import threading
from collections.abc import Iterator

import numpy as np

from store.concat import Concat


def sequential(x: Concat, rows: int | None = None, *, dtype: str = "float32") -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows, features (n, D)) in order, `rows` at a time (default: a block). The arrays are the caller's."""
    step = rows or x.block_rows
    spans = [np.arange(start, min(start + step, len(x))) for start in range(0, len(x), step)]
    for span, batch in _ahead(x, spans, dtype):
        yield slice(int(span[0]), int(span[-1]) + 1), batch


def shuffled(
    x: Concat, rows: int, *, seed: int, epoch: int = 0, blocks: int = 4, dtype: str = "float32"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (row numbers, features (rows, D)) in a random order that (seed, epoch) decides.

    Blocks come in random order; rows are mixed within groups of `blocks` blocks, so that reads stay sequential and
    memory at that many blocks. Every row comes once an epoch; the last batch may be shorter.
    """
    rng = np.random.default_rng([seed, epoch])
    starts = rng.permutation(np.arange(0, len(x), x.block_rows))
    groups = [starts[i : i + blocks] for i in range(0, len(starts), blocks)]
    spans = [np.concatenate([np.arange(s, min(s + x.block_rows, len(x))) for s in np.sort(group)]) for group in groups]
    left_rows, left_x = np.empty(0, np.int64), np.empty((0, x.dim), dtype)
    for span, pool in _ahead(x, spans, dtype):
        order = rng.permutation(len(span))
        pool_rows = np.concatenate([left_rows, span[order]])
        pool_x = np.concatenate([left_x, pool[order]])
        whole = len(pool_rows) // rows * rows
        for start in range(0, whole, rows):
            yield pool_rows[start : start + rows], pool_x[start : start + rows]
        left_rows, left_x = pool_rows[whole:], pool_x[whole:]
    if len(left_rows):
        yield left_rows, left_x


def _ahead(x: Concat, spans: list[np.ndarray], dtype: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read one span while the caller works on the one before; an error in the thread is raised here."""
    ready: queue.Queue[tuple[np.ndarray, np.ndarray] | BaseException | None] = queue.Queue(maxsize=1)
    stop = threading.Event()

    def hand_over(item: tuple[np.ndarray, np.ndarray] | BaseException | None) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def read() -> None:
        try:
            for span in spans:
                if stop.is_set():
                    return
                first, last = int(span[0]), int(span[-1]) + 1
                wanted = slice(first, last) if last - first == len(span) else span
                hand_over((span, x.read(wanted, np.empty((len(span), x.dim), dtype))))
            hand_over(None)
        except BaseException as error:  # noqa: BLE001
            hand_over(error)

    thread = threading.Thread(target=read, name="store-read-ahead", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
