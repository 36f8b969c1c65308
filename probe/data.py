"""Rows that solvers read: held in memory or streamed, the same to them; rows may be shared out over ranks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from probe.prepare import Prepare
from store.concat import Concat

CPU = torch.device("cpu")
CHUNK_BYTES = 8 << 20
"""Of float32 features in one step of a pass: small enough for a processor's cache, large enough for a product."""


class Source(Protocol):
    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def streamed(self) -> bool:
        """Whether every read goes to the store."""

    @property
    def remote(self) -> bool:
        """Whether it goes over a network."""

    def read(self, rows: slice | np.ndarray) -> np.ndarray | Tensor:
        """Rows (n, D); they may be the memory that is held: not to be written to."""


class Held:
    """Features in memory, in the dtype they are stored in: an array, or a tensor on the device where it lies."""

    streamed = remote = False

    def __init__(self, x_ND: np.ndarray | Tensor) -> None:
        self.x_ND = torch.from_numpy(x_ND) if isinstance(x_ND, np.ndarray) else x_ND
        self.shape: tuple[int, int] = (x_ND.shape[0], x_ND.shape[1])
        self.dtype: np.dtype = np.dtype(str(self.x_ND.dtype).removeprefix("torch."))

    def read(self, rows: slice | np.ndarray) -> Tensor:
        if isinstance(rows, slice):
            return self.x_ND[rows]
        return self.x_ND.index_select(0, torch.from_numpy(rows).to(self.x_ND.device))  # by several threads


class Streamed:
    """Chosen columns of a concatenation, read from the store at every pass."""

    streamed = True

    def __init__(self, x: Concat, ranges: Sequence[tuple[int, int]]) -> None:
        self.x, self.ranges = x, list(ranges)
        self.shape = (len(x), sum(high - low for low, high in ranges))
        stored = {part.manifest.dtype for part in x.parts}
        self.dtype = np.dtype("float16" if stored == {"float16"} else "float32")
        self.remote = any("://" in part.root.url for part in x.parts)

    def read(self, rows: slice | np.ndarray) -> np.ndarray:
        count = len(range(*rows.indices(self.shape[0]))) if isinstance(rows, slice) else len(rows)
        out = np.empty((count, self.shape[1]), self.dtype)
        kept = rows if self.x.rows is None else self.x.rows[rows]
        edge = 0
        for part, (low, high) in zip(self.x.parts, self.ranges, strict=True):
            columns = out[:, edge : edge + high - low]
            if high - low == part.dim:
                part.read(kept, columns)
            else:
                columns[:] = part.read(kept, np.empty((count, part.dim), self.dtype))[:, low:high]
            edge += high - low
        return out

    def spare_memory(self) -> None:
        """Leave nothing mapped after a read, for a budget of resident memory."""
        for part in self.x.parts:
            part.blocks.keep_maps = False

    def load(self, rows: np.ndarray, device: torch.device = CPU) -> Held:
        """These rows, ascending, into the memory of a device, a block at a time."""
        dtype = torch.float16 if self.dtype == np.float16 else torch.float32
        x_ND = torch.empty((len(rows), self.shape[1]), dtype=dtype, device=device)
        step = self.x.stride
        for start in range(0, len(rows), step):
            x_ND[start : start + step] = torch.from_numpy(self.read(_span(rows[start : start + step])))
        return Held(x_ND)


@dataclass(frozen=True)
class Data:
    """Training or evaluation rows: features through `prepare`, and class indices.

    Positions number the samples over all ranks; this rank holds the features of some of them, in ascending order.
    """

    pieces: tuple[tuple[Source, np.ndarray], ...]
    """Sources and the row numbers that are used of each, ascending: the local rows, one after the other"""
    positions: np.ndarray
    """(N,) int64 the position of every local row, ascending"""
    labels: np.ndarray
    """(total,) int64 the class index at every position"""
    num_classes: int
    prepare: Prepare
    device: torch.device
    views: tuple[tuple[tuple[Source, np.ndarray], ...], ...] = ()
    """The same rows seen in other crops: what stands in for `pieces` in one epoch after the other"""
    allowed_C: np.ndarray | None = None
    """(C,) bool: the classes that predictions choose among; None: all"""

    def __len__(self) -> int:
        """Rows on this rank."""
        return len(self.positions)

    @property
    def total(self) -> int:
        """Rows over all ranks."""
        return len(self.labels)

    @cached_property
    def y_N(self) -> Tensor:
        """(N,) int64: classes of the local rows."""
        return torch.from_numpy(self.labels[self.positions]).to(self.device)

    @property
    def dim(self) -> int:
        return self.prepare.dim

    @property
    def raw_dim(self) -> int:
        return self.pieces[0][0].shape[1]

    @property
    def chunk_rows(self) -> int:
        """Rows in one step of a pass."""
        return max(64, CHUNK_BYTES // (4 * self.raw_dim))

    @property
    def streamed(self) -> bool:
        return any(source.streamed for source, _ in self.pieces)

    @property
    def remote(self) -> bool:
        return any(source.remote for source, _ in self.pieces)

    def chunks(self, rows: int | None = None) -> Iterator[tuple[slice, Tensor]]:
        """One pass: (local rows, their float32 features (n, D')) in order. The tensors are the caller's."""
        for span, raw in self.raw_chunks(rows):
            yield span, self.prepare(raw)

    def raw_chunks(self, rows: int | None = None) -> Iterator[tuple[slice, Tensor]]:
        """One pass over the features as they are stored. The tensors may be the memory that is held."""
        step = rows or self.chunk_rows
        done = 0
        for source, numbers in self.pieces:
            for start in range(0, len(numbers), step):
                part = numbers[start : start + step]
                yield slice(done, done + len(part)), self._tensor(source.read(_span(part)))
                done += len(part)

    def local(self, positions: np.ndarray) -> np.ndarray:
        """Which local rows lie at these positions; those of other ranks are left out. Keeps the order."""
        if len(self) == self.total:
            return positions
        found = np.searchsorted(self.positions, positions)
        here: np.ndarray = found[self.positions[np.minimum(found, len(self) - 1)] == positions]
        return here

    def read(self, rows: np.ndarray, view: int = 0) -> Tensor:
        """Prepared features (n, D') of local rows in any order, in one of the views."""
        pieces = self.views[view] if self.views else self.pieces
        x, first = None, 0
        for source, numbers in pieces:
            mine = np.flatnonzero((rows >= first) & (rows < first + len(numbers)))
            if mine.size == len(rows):
                raw = self._tensor(source.read(numbers[rows - first]))
                return raw.float() if self.prepare.nothing else self.prepare(raw)  # rows of an array are a copy
            if mine.size:
                raw = self._tensor(source.read(numbers[rows[mine] - first]))
                x = torch.empty((len(rows), self.raw_dim), dtype=torch.float32, device=self.device) if x is None else x
                x[torch.from_numpy(mine)] = raw.float()
            first += len(numbers)
        assert x is not None
        return self.prepare(x)

    def _tensor(self, raw: np.ndarray | Tensor) -> Tensor:
        return (torch.from_numpy(raw) if isinstance(raw, np.ndarray) else raw).to(self.device)

    def take(self, positions: np.ndarray) -> "Data":
        """The samples at these positions alone, ascending; features are not copied."""
        positions = np.sort(positions)
        rows = self.local(positions)

        def chosen(pieces: tuple[tuple[Source, np.ndarray], ...]) -> tuple[tuple[Source, np.ndarray], ...]:
            edges = np.cumsum([0, *(len(numbers) for _, numbers in pieces)])
            return tuple(
                (source, numbers[rows[(rows >= low) & (rows < high)] - low])
                for (source, numbers), low, high in zip(pieces, edges[:-1], edges[1:], strict=True)
            )

        return replace(
            self,
            pieces=chosen(self.pieces),
            positions=np.searchsorted(positions, self.positions[rows]),
            labels=self.labels[positions],
            views=tuple(chosen(pieces) for pieces in self.views),
        )

    def prepared_by(self, prepare: Prepare) -> "Data":
        return replace(self, prepare=prepare.to(self.device))

    def join(self, other: "Data") -> "Data":
        """These samples, then the other's, as one; views rotate together, and one without any shows its only one."""
        count = max(len(self.views), len(other.views))
        ours, theirs = self.views or (self.pieces,), other.views or (other.pieces,)
        return replace(
            self,
            pieces=self.pieces + other.pieces,
            positions=np.concatenate([self.positions, other.positions + self.total]),
            labels=np.concatenate([self.labels, other.labels]),
            views=tuple(ours[i % len(ours)] + theirs[i % len(theirs)] for i in range(count)),
        )


def _span(rows: np.ndarray) -> slice | np.ndarray:
    """Ascending rows without a gap as a slice: no copy is made of memory."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
