"""A Zarr v3 array cut into blocks of rows: one block, one chunk, one object, written once.

Uncompressed chunks with their CRC-32C at the end (Zarr's `crc32c` codec), so that a local block can be memory-mapped
and any Zarr reader opens the array and checks it. The last chunk is padded to the full block, as Zarr wants it.
"""

import json
import mmap
from collections.abc import Sequence

import google_crc32c
import numpy as np

from store.errors import DamagedFeatures, FormatError
from store.root import Root

CRC_BYTES = 4
_FILL = {"f": "NaN", "i": -1, "u": 0}


def create(root: Root, prefix: str, shape: Sequence[int], dtype: str, block_rows: int, names: Sequence[str]) -> None:
    """Write the array's metadata, zarr.json; the blocks come with `write_block`."""
    import zarr
    from zarr.codecs import BytesCodec, Crc32cCodec
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync
    from zarr.storage import MemoryStore

    kind = np.dtype(dtype).kind
    store = MemoryStore()
    zarr.create_array(
        store,
        shape=tuple(shape),
        chunks=(block_rows, *shape[1:]),
        dtype=dtype,
        fill_value=float("nan") if kind == "f" else _FILL[kind],
        serializer=BytesCodec(endian="little" if np.dtype(dtype).itemsize > 1 else None),
        compressors=(Crc32cCodec(),),
        filters=(),
        chunk_key_encoding={"name": "default", "separator": "."},  # flat: one listing finds every block
        dimension_names=tuple(names),
        overwrite=False,
    )
    text = sync(store.get("zarr.json", default_buffer_prototype()))
    assert text is not None
    root.put_new(f"{prefix}/zarr.json", text.to_bytes())


class ZarrBlocks:
    """The blocks of one array: (N, ...) in chunks of `block_rows` rows.

    Raises `FormatError` where zarr.json is not one that `create` writes.
    """

    def __init__(self, root: Root, prefix: str) -> None:
        self.root, self.prefix = root, prefix
        try:
            meta = json.loads(root.get(f"{prefix}/zarr.json"))
            self.shape: tuple[int, ...] = tuple(meta["shape"])
            self.block_rows: int = meta["chunk_grid"]["configuration"]["chunk_shape"][0]
            self.dtype = np.dtype(meta["data_type"]).newbyteorder("<")
            codecs = [codec["name"] for codec in meta["codecs"]]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise FormatError(f"{root.url}/{prefix}/zarr.json is not a Zarr v3 array: {error!r}") from error
        if codecs != ["bytes", "crc32c"]:
            raise FormatError(f"{root.url}/{prefix}/zarr.json has codecs {codecs}; format 1 has bytes, crc32c")
        self.row_shape = self.shape[1:]
        self.row_bytes = int(np.prod(self.row_shape, dtype=np.int64)) * self.dtype.itemsize
        self.num_blocks = -(-self.shape[0] // self.block_rows)
        self._suffix = ".0" * len(self.row_shape)
        self._checked: set[int] = set()

    def _key(self, block: int) -> str:
        return f"{self.prefix}/c.{block}{self._suffix}"

    @property
    def block_bytes(self) -> int:
        """Bytes of one stored block, checksum included."""
        return int(self.block_rows * self.row_bytes + CRC_BYTES)

    def rows(self, block: int) -> range:
        return range(block * self.block_rows, min((block + 1) * self.block_rows, self.shape[0]))

    def stored(self) -> set[int]:
        """Which blocks are there, by one listing; a block of the wrong size does not count."""
        found = set()
        for name, size in self.root.list(self.prefix).items():
            index = name.split(".")[1] if name.startswith("c.") else ""
            if index.isdecimal() and size == self.block_bytes:
                found.add(int(index))
        return found

    def write_block(self, block: int, x: np.ndarray) -> None:
        """Store one block, durable when this returns. x: (rows of the block, ...)."""
        count = len(self.rows(block))
        assert x.shape == (count, *self.row_shape), f"block {block} is {x.shape}, need {(count, *self.row_shape)}"
        data = np.empty(self.block_bytes, np.uint8)
        body = data[:-CRC_BYTES].view(self.dtype).reshape(self.block_rows, *self.row_shape)
        body[:count] = x
        body[count:] = np.nan if self.dtype.kind == "f" else _FILL[self.dtype.kind]
        data[-CRC_BYTES:] = np.frombuffer(_crc(data[:-CRC_BYTES]), np.uint8)
        self.root.put(self._key(block), data)

    def checksum(self, block: int) -> str:
        """The block's CRC-32C as stored, 8 hex digits, without reading the block."""
        return self.root.get_tail(self._key(block), CRC_BYTES)[::-1].hex()

    def read_block(self, block: int, *, check: bool = True) -> np.ndarray:
        """One block, (block_rows, ...), read-only, without its padding. Memory-mapped where it is a file.

        The checksum is verified the first time this handle touches the block (`check=False` skips that).
        Raises `DamagedFeatures`: missing, truncated or changed.
        """
        data = self._load(block)
        if data.size != self.block_bytes:
            raise self._damaged(block, f"has {data.size} bytes, needs {self.block_bytes}")
        if check and block not in self._checked:
            if _crc(data[:-CRC_BYTES]) != data[-CRC_BYTES:].tobytes():
                raise self._damaged(block, "does not match its checksum")
            self._checked.add(block)
        body: np.ndarray = data[:-CRC_BYTES].view(self.dtype).reshape(self.block_rows, *self.row_shape)
        return body[: len(self.rows(block))]

    def _load(self, block: int) -> np.ndarray:
        path = self.root.path(self._key(block))
        try:
            if path is None:
                return np.frombuffer(self.root.get(self._key(block)), np.uint8)
            with path.open("rb") as file:
                return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        except FileNotFoundError:
            raise self._damaged(block, "is missing") from None
        except ValueError:
            raise self._damaged(block, "is empty") from None

    def _damaged(self, block: int, what: str) -> DamagedFeatures:
        rows = self.rows(block)
        return DamagedFeatures(
            f"{self.root.url}/{self._key(block)} {what}: rows {rows.start} to {rows.stop - 1} are lost. "
            "Run `python -m store verify --repair`, then the extract command again: it makes only what is missing"
        )

    def read(self, rows: slice | np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Rows by slice (step 1) or sorted index array, into `out` (any dtype that they cast to) if given."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.shape[0])
            if step != 1:
                return self.read(np.arange(start, stop, step), out)
            return self._read_range(start, max(start, stop), out)
        return self._gather(np.asarray(rows), out)

    def _out(self, count: int, out: np.ndarray | None) -> np.ndarray:
        return np.empty((count, *self.row_shape), self.dtype) if out is None else out

    def _read_range(self, start: int, stop: int, out: np.ndarray | None) -> np.ndarray:
        out = self._out(stop - start, out)
        for block in range(start // self.block_rows, -(-stop // self.block_rows) if stop > start else 0):
            first = block * self.block_rows
            low, high = max(start, first), min(stop, first + self.block_rows)
            out[low - start : high - start] = self.read_block(block)[low - first : high - first]
        return out

    def _gather(self, rows: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        if rows.size and (rows.min() < 0 or rows.max() >= self.shape[0]):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of an array with {self.shape[0]} rows")
        if np.any(rows[1:] < rows[:-1]):
            order = np.argsort(rows, kind="stable")
            out = self._out(len(rows), out)
            out[order] = self._gather(rows[order], None)
            return out
        out = self._out(len(rows), out)
        for block in np.unique(rows // self.block_rows):
            low, high = np.searchsorted(rows, [block * self.block_rows, (block + 1) * self.block_rows])
            out[low:high] = self.read_block(int(block))[rows[low:high] - block * self.block_rows]
        return out


def _crc(data: np.ndarray) -> bytes:
    """CRC-32C, little-endian, as Zarr's codec appends it."""
    value: int = google_crc32c.value(data)
    return value.to_bytes(4, "little")
