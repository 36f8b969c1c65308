"""Batches of rows from a concatenation, read ahead by one thread; two of them are in memory at any time."""

import queue
import threading
from collections.abc import Iterable, Iterator

import numpy as np

from store.concat import Concat

Rows = slice | np.ndarray


def sequential(x: Concat, rows: int | None = None, *, dtype: str = "float32") -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows, features (n, D)) in order, `rows` at a time. The arrays are the caller's.

    The default is an eighth of a stride, so that a pass needs less memory than twice that of each part.
    """
    step = rows or max(1, x.stride // 8)
    spans = (slice(start, min(start + step, len(x))) for start in range(0, len(x), step))
    for span, batch in _ahead(x, spans, dtype):
        assert isinstance(span, slice)
        yield span, batch


def shuffled(
    x: Concat, rows: int, *, seed: int, epoch: int = 0, strides: int = 4, dtype: str = "float32"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (row numbers, features (rows, D)) in a random order that (seed, epoch) decides.

    Strides come in random order; rows are mixed within groups of `strides` of them, so that reads stay sequential and
    memory at twice that many. Every row comes once an epoch; the last batch may be shorter.
    """
    rng = np.random.default_rng([seed, epoch])
    starts = rng.permutation(np.arange(0, len(x), x.stride))
    groups = (np.sort(starts[i : i + strides]) for i in range(0, len(starts), strides))
    spans = (np.concatenate([np.arange(s, min(s + x.stride, len(x))) for s in group]) for group in groups)
    left_rows, left_x = np.empty(0, np.int64), np.empty((0, x.dim), dtype)
    for span, pool in _ahead(x, spans, dtype):
        assert isinstance(span, np.ndarray)
        order = rng.permutation(len(span))
        first = rows - len(left_rows) if len(left_rows) else 0
        if 0 < first <= len(order):
            now = order[:first]
            yield np.concatenate([left_rows, span[now]]), np.concatenate([left_x, pool[now]])
            left_rows, left_x = left_rows[:0], left_x[:0]
            order = order[first:]
        whole = 0 if len(left_rows) else len(order) // rows * rows
        for start in range(0, whole, rows):
            now = order[start : start + rows]
            yield span[now], pool[now]
        now = order[whole:]
        left_rows, left_x = np.concatenate([left_rows, span[now]]), np.concatenate([left_x, pool[now]])
    if len(left_rows):
        yield left_rows, left_x


def _ahead(x: Concat, spans: Iterable[Rows], dtype: str) -> Iterator[tuple[Rows, np.ndarray]]:
    """Read one span while the caller works on the one before; an error in the thread is raised here."""
    ready: queue.SimpleQueue[tuple[Rows, np.ndarray] | BaseException | None] = queue.SimpleQueue()
    room, stop = threading.Semaphore(2), threading.Event()

    def read() -> None:
        try:
            for span in spans:
                room.acquire()
                if stop.is_set():
                    return
                count = span.stop - span.start if isinstance(span, slice) else len(span)
                ready.put((span, x.read(span, np.empty((count, x.dim), dtype))))
            ready.put(None)
        except BaseException as error:  # noqa: BLE001
            ready.put(error)

    thread = threading.Thread(target=read, name="store-read-ahead", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
            del item
            room.release()
    finally:
        stop.set()
        room.release()
        thread.join()
