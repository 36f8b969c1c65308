"""An array cut into blocks of rows: one block, one object, written once, checked when it is read.

What an object looks like around its rows (`Frame`) is the backend's: zarr_blocks.py, hdf5_blocks.py.
"""

import errno
import mmap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import google_crc32c
import numpy as np

from store.errors import DamagedFeatures, RootError
from store.root import Root, repair_advice

CRC_BYTES = 4
FILL = {"f": np.nan, "i": -1, "u": 0}
"""What stands in rows that do not exist, by kind of dtype."""
_TILE_BYTES = 1 << 19
"""Checked and copied at a time, so that the copy reads from the processor's cache."""
_HALF_INFINITY = 0x7C00
"""From these bits on, without the sign, a float16 is infinity or NaN."""
_THREADS = 4
"""Blocks read at a time, where several are asked for."""
_KEPT_MAPS = 1024
"""Memory maps that a handle keeps open for sparse reads; Linux allows a process 65530."""


@dataclass(frozen=True)
class Frame:
    """The bytes of an object around its rows."""

    start: int
    """Bytes before the rows."""
    tail: int
    """Bytes after the rows."""
    crc_at: int
    """Where the CRC-32C of the rows stands, little-endian; negative counts from the end."""
    head: Callable[[int], bytes] = lambda rows: b""  # noqa: ARG005
    """What to write before so many rows."""
    padded: bool = False
    """Whether the last block is filled up to as many rows as the others."""


class Blocks:
    """The blocks of one array (N, ...), `block_rows` rows each; the last may have fewer."""

    def __init__(
        self,
        root: Root,
        prefix: str,
        shape: Sequence[int],
        dtype: np.dtype,
        block_rows: int,
        name: Callable[[int], str],
        frame: Frame,
    ) -> None:
        self.root, self.prefix = root, prefix
        self.shape, self.dtype, self.block_rows = tuple(shape), dtype.newbyteorder("<"), block_rows
        self.row_shape = self.shape[1:]
        self.row_bytes = int(np.prod(self.row_shape, dtype=np.int64)) * self.dtype.itemsize
        self.num_blocks = -(-self.shape[0] // self.block_rows)
        self._name, self._frame = name, frame
        self.committed: Callable[[], np.ndarray] | None = None
        """Gives the CRC-32C that every block had at the commit; None where nobody wrote them down. Asked for when the
        first block is checked."""
        self._checked: set[int] = set()
        self._maps: dict[int, np.ndarray] = {}
        self.keep_maps = True
        """Whether blocks of which a few rows were read stay mapped. The system takes these pages back when it needs
        them, but they count as this process's memory."""

    def rows(self, block: int) -> range:
        return range(block * self.block_rows, min((block + 1) * self.block_rows, self.shape[0]))

    def key(self, block: int) -> str:
        return f"{self.prefix}/{self._name(block)}"

    def _stored_rows(self, block: int) -> int:
        return self.block_rows if self._frame.padded else len(self.rows(block))

    def object_bytes(self, block: int) -> int:
        """Bytes of a stored block, with all that is around its rows."""
        return self._frame.start + self._stored_rows(block) * self.row_bytes + self._frame.tail

    def _crc_span(self, block: int) -> slice:
        at = self._frame.crc_at
        start = at if at >= 0 else self.object_bytes(block) + at
        return slice(start, start + CRC_BYTES)

    def stored(self) -> set[int]:
        """Which blocks are there, by one listing; a block of the wrong size does not count."""
        found = self.root.list(self.prefix)
        return {block for block in range(self.num_blocks) if found.get(self._name(block)) == self.object_bytes(block)}

    def encode(self, block: int, x: np.ndarray) -> tuple[np.ndarray, str]:
        """The object that holds `x` (rows of the block, ...), and its checksum."""
        count = len(self.rows(block))
        assert x.shape == (count, *self.row_shape), f"block {block} is {x.shape}, need {(count, *self.row_shape)}"
        data = np.empty(self.object_bytes(block), np.uint8)
        start, stop = self._frame.start, data.size - self._frame.tail
        data[:start] = np.frombuffer(self._frame.head(count), np.uint8)
        body = self._body(block, data)
        body[:count] = x
        body[count:] = FILL[self.dtype.kind]
        crc: int = google_crc32c.value(data[start:stop])
        data[self._crc_span(block)] = np.frombuffer(crc.to_bytes(CRC_BYTES, "little"), np.uint8)
        return data, f"{crc:08x}"

    def write_block(self, block: int, x: np.ndarray) -> None:
        """Store one block, durable when this returns; replaces what was there."""
        self.root.put(self.key(block), self.encode(block, x)[0])

    def checksum(self, block: int) -> str:
        """The block's CRC-32C as stored, 8 hex digits, without reading the block."""
        return self.root.get_range(self.key(block), self._crc_span(block).start, CRC_BYTES)[::-1].hex()

    def read_block(self, block: int) -> np.ndarray:
        """One block, (rows of the block, ...), read-only, checked.

        Raises `DamagedFeatures`: missing, truncated or changed.
        """
        data = self._load(block)
        for _ in self._checked_tiles(block, data):
            pass
        return self._body(block, data)[: len(self.rows(block))]

    def _body(self, block: int, data: np.ndarray) -> np.ndarray:
        body: np.ndarray = data[self._frame.start : data.size - self._frame.tail].view(self.dtype)
        return body.reshape(self._stored_rows(block), *self.row_shape)

    def _load(self, block: int) -> np.ndarray:
        """The bytes of an object; memory-mapped where it is a file."""
        path = self.root.path(self.key(block))
        try:
            if path is None:
                data = np.frombuffer(self.root.get(self.key(block)), np.uint8)
            else:
                with path.open("rb") as file:
                    data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        except FileNotFoundError:
            self.root.check_there()
            raise self._damaged(block, "is missing") from None
        except ValueError:
            raise self._damaged(block, "is empty") from None
        except OSError as error:
            if error.errno == errno.EIO:
                raise self._damaged(block, "cannot be read (input/output error)") from error
            if isinstance(error, RootError):
                raise
            raise RootError(f"{self.root.url}/{self.key(block)} cannot be read: {error.strerror}") from error
        if data.size != self.object_bytes(block):
            raise self._damaged(block, f"has {data.size} bytes, needs {self.object_bytes(block)}")
        return data

    def _checked_tiles(self, block: int, data: np.ndarray) -> Iterator[range]:
        """Yield the rows of a block, a tile at a time, just after they went through the checksum.

        The verdict comes at the end: `DamagedFeatures` before the last step returns. A handle checks a block once.
        """
        todo, crc, at = block not in self._checked, 0, self._frame.start
        rows = self._stored_rows(block)
        step = max(1, _TILE_BYTES // self.row_bytes)
        for first in range(0, rows, step):
            last = min(first + step, rows)
            if todo:
                crc = google_crc32c.extend(crc, data[at + first * self.row_bytes : at + last * self.row_bytes])
            yield range(first, last)
        if todo and crc.to_bytes(CRC_BYTES, "little") != data[self._crc_span(block)].tobytes():
            raise self._damaged(block, "does not match its checksum")
        if todo and self.committed is not None and crc != self.committed()[block]:
            raise self._damaged(block, "is not the block that was committed")
        self._checked.add(block)

    def _damaged(self, block: int, what: str) -> DamagedFeatures:
        rows = self.rows(block)
        return DamagedFeatures(
            f"{self.root.url}/{self.key(block)} {what}: rows {rows.start} to {rows.stop - 1} are lost. "
            f"Run {repair_advice(self.root)}",
            what=f"{self._name(block)} {what}",
        )

    def read(self, rows: slice | np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Rows by slice or index array (sorted is fastest), into `out` (any dtype that they cast to) if given."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.shape[0])
            if step == 1:
                out = self._out(max(0, stop - start), out)
                self._read_range(start, stop, out)
                return out
            rows = np.arange(start, stop, step)
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if rows.shape != self.shape[:1]:
                raise IndexError(f"a mask of {rows.shape} for an array with {self.shape[0]} rows")
            rows = np.flatnonzero(rows)
        rows = rows.astype(np.int64, casting="same_kind" if rows.size else "unsafe", copy=False)
        if rows.size and (rows.min() < 0 or rows.max() >= self.shape[0]):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of an array with {self.shape[0]} rows")
        out = self._out(len(rows), out)
        self._gather(rows, out)
        return out

    def _out(self, count: int, out: np.ndarray | None) -> np.ndarray:
        need = (count, *self.row_shape)
        if out is None:
            return np.empty(need, self.dtype)
        if out.shape != need:
            raise ValueError(f"the buffer is {out.shape}, the rows asked for are {need}")
        return out

    def _read_range(self, start: int, stop: int, out: np.ndarray) -> None:
        def read(block: int) -> None:
            data = self._load(block)
            body = self._body(block, data)
            first = block * self.block_rows
            low, high = max(start - first, 0), min(stop - first, self.block_rows)
            for tile in self._checked_tiles(block, data):
                a, b = max(tile.start, low), min(tile.stop, high)
                if a < b:
                    _copy(body[a:b], out[first + a - start : first + b - start])

        blocks = range(start // self.block_rows, -(-stop // self.block_rows) if stop > start else 0)
        if len(blocks) == 1:
            read(blocks[0])
        elif blocks:
            with ThreadPoolExecutor(min(_THREADS, len(blocks))) as pool:
                list(pool.map(read, blocks))

    def _gather(self, rows: np.ndarray, out: np.ndarray) -> None:
        order = None
        if np.any(rows[1:] < rows[:-1]):
            order = np.argsort(rows, kind="stable")
            rows = rows[order]
        step = max(1, _TILE_BYTES // self.row_bytes)
        for block in np.unique(rows // self.block_rows).tolist():
            low, high = np.searchsorted(rows, [block * self.block_rows, (block + 1) * self.block_rows]).tolist()
            body = self._sparse(block) if (high - low) * 8 < self.block_rows else self.read_block(block)
            for a in range(low, high, step):
                b = min(a + step, high)
                found = body[rows[a:b] - block * self.block_rows]
                if order is None:
                    _copy(found, out[a:b])
                else:
                    out[order[a:b]] = found

    def _sparse(self, block: int) -> np.ndarray:
        """A block of which a few rows are wanted; its map is kept if it may be: such reads come again."""
        if block not in self._maps:
            body = self.read_block(block)
            if not self.keep_maps or self.root.path(self.key(block)) is None:
                return body
            if len(self._maps) >= _KEPT_MAPS:
                self._maps.clear()
            self._maps[block] = body
        return self._maps[block]


def finite_rows(x: np.ndarray) -> np.ndarray:
    """(n,) bool: which rows of (n, D) hold neither NaN nor infinity. For float16 ten times as fast as numpy."""
    if x.dtype != np.float16:
        fine: np.ndarray = np.isfinite(x).all(axis=1)
        return fine
    bits, step = x.view(np.uint16), max(1, _TILE_BYTES // max(1, x[:1].nbytes))
    largest = [(bits[i : i + step] & 0x7FFF).max(axis=1) for i in range(0, len(x), step)]
    return np.concatenate(largest) < _HALF_INFINITY


def _copy(x: np.ndarray, out: np.ndarray) -> None:
    """out[...] = x. From float16 to float32 by integer arithmetic, exact, three times as fast as numpy's cast."""
    if x.dtype != np.float16 or out.dtype != np.float32 or np.max(x.view(np.uint16) & 0x7FFF) >= _HALF_INFINITY:
        out[...] = x
        return
    bits = out.view(np.int32)
    bits[...] = x.view(np.int16)  # the sign fills the upper half
    np.left_shift(bits, 13, out=bits)  # exponent and mantissa to their places in float32
    np.bitwise_and(bits, np.int32(-0x70002000), out=bits)  # of the copies of the sign, keep the uppermost
    np.multiply(out, np.float32(2.0**112), out=out)  # the exponent's bias is 15 in float16, 127 in float32
