"""Rows that solvers read: held in memory or streamed, the same to them; rows may be shared out over ranks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from probe import ranks
from probe.prepare import Prepare
from store.concat import Concat

CHUNK_BYTES = 16 << 20
"""Of float32 features in one step of a pass: small enough for a processor's cache, large enough for a product."""


class Source(Protocol):
    shape: tuple[int, int]
    dtype: np.dtype

    def read(self, rows: slice | np.ndarray) -> np.ndarray:
        """Rows (n, D); not to be written to."""


class Held:
    """Features in memory, in the dtype they are stored in."""

    def __init__(self, x_ND: np.ndarray) -> None:
        self.x_ND, self.shape, self.dtype = x_ND, (x_ND.shape[0], x_ND.shape[1]), x_ND.dtype

    def read(self, rows: slice | np.ndarray) -> np.ndarray:
        return self.x_ND[rows]


class Streamed:
    """Chosen columns of a concatenation, read from the store at every pass."""

    def __init__(self, x: Concat, ranges: Sequence[tuple[int, int]]) -> None:
        self.x, self.ranges = x, list(ranges)
        self.shape = (len(x), sum(high - low for low, high in ranges))
        stored = {part.manifest.dtype for part in x.parts}
        self.dtype = np.dtype("float16" if stored == {"float16"} else "float32")

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

    def load(self) -> Held:
        """All rows into memory, a block at a time."""
        x_ND = np.empty(self.shape, self.dtype)
        step = self.x.block_rows
        for start in range(0, self.shape[0], step):
            x_ND[start : start + step] = self.read(slice(start, start + step))
        return Held(x_ND)


@dataclass(frozen=True)
class Data:
    """Training or evaluation rows: features through `prepare`, and class indices."""

    pieces: tuple[tuple[Source, np.ndarray], ...]
    """Sources and the row numbers that are used of each, ascending."""
    y_N: Tensor
    """(N,) int64 class indices, of these rows"""
    num_classes: int
    prepare: Prepare
    device: torch.device

    def __len__(self) -> int:
        return len(self.y_N)

    @property
    def dim(self) -> int:
        return self.prepare.dim

    @property
    def raw_dim(self) -> int:
        return self.pieces[0][0].shape[1]

    @property
    def streamed(self) -> bool:
        return any(isinstance(source, Streamed) for source, _ in self.pieces)

    @property
    def total(self) -> int:
        """Rows over all ranks."""
        return int(ranks.add(torch.tensor(len(self), dtype=torch.float64, device=self.device)))

    def chunks(self, rows: int | None = None) -> Iterator[tuple[slice, Tensor]]:
        """One pass: (positions, float32 features (n, D')) in order."""
        for span, raw in self.raw_chunks(rows):
            yield span, self.prepare(raw)

    def raw_chunks(self, rows: int | None = None) -> Iterator[tuple[slice, Tensor]]:
        step = rows or max(64, CHUNK_BYTES // (4 * self.raw_dim))
        done = 0
        for source, numbers in self.pieces:
            for start in range(0, len(numbers), step):
                part = numbers[start : start + step]
                x = self._tensor(source.read(_span(part)))
                yield slice(done, done + len(part)), x
                done += len(part)

    def read(self, positions: np.ndarray) -> Tensor:
        """Prepared features (n, D') of any positions, in their order."""
        x = torch.empty((len(positions), self.raw_dim), dtype=torch.float32, device=self.device)
        first = 0
        for source, numbers in self.pieces:
            mine = np.flatnonzero((positions >= first) & (positions < first + len(numbers)))
            if mine.size:
                raw = self._tensor(source.read(numbers[positions[mine] - first]))
                if mine.size == len(positions):
                    return self.prepare(raw)
                x[torch.from_numpy(mine)] = raw.float()
            first += len(numbers)
        return self.prepare(x)

    def _tensor(self, raw: np.ndarray) -> Tensor:
        return torch.from_numpy(raw if raw.flags.writeable else raw.copy()).to(self.device)

    def take(self, positions: np.ndarray) -> "Data":
        """These rows alone, ascending; features are not copied."""
        positions = np.sort(positions)
        pieces, first = [], 0
        for source, numbers in self.pieces:
            mine = positions[(positions >= first) & (positions < first + len(numbers))]
            pieces.append((source, numbers[mine - first]))
            first += len(numbers)
        return replace(self, pieces=tuple(pieces), y_N=self.y_N[torch.from_numpy(positions)])

    def prepared_by(self, prepare: Prepare) -> "Data":
        return replace(self, prepare=prepare.to(self.device))

    def join(self, other: "Data") -> "Data":
        """These rows, then the other's, as one."""
        return replace(self, pieces=self.pieces + other.pieces, y_N=torch.cat([self.y_N, other.y_N]))


def _span(rows: np.ndarray) -> slice | np.ndarray:
    """Ascending rows without a gap as a slice: no copy is made of memory."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
