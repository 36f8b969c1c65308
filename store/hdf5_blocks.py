"""The HDF5 backend: one file a block, and from the commit on a virtual dataset over them, so that any HDF5 reader
sees one (N, D) array.

A block's file holds one contiguous dataset, `x`, at a known place, and the CRC-32C of its rows in the user block
before the HDF5 part: it is read, mapped and checked like a Zarr chunk, without the HDF5 library.
"""

import io
import json
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from store.blocks import FILL, Blocks, Frame
from store.errors import DamagedFeatures, FormatError
from store.json_text import parse_json
from store.root import Root, repair_advice

HEAD = 8192
"""Where the rows begin in a block's file."""
CRC_AT = 64
_USER_BLOCK = 2048
_LABEL = b"motherlode block 1: crc32c of x, little-endian, at byte 64\n"


def create(root: Root, prefix: str, shape: Sequence[int], dtype: str, block_rows: int, names: Sequence[str]) -> None:
    """Write the array's metadata, array.json, if there is none."""
    meta = {"shape": list(shape), "dtype": np.dtype(dtype).name, "block_rows": block_rows, "names": list(names)}
    root.put_new(f"{prefix}/array.json", json.dumps(meta).encode())


def open_blocks(root: Root, prefix: str) -> Blocks:
    """Open an array that `create` made.

    Raises `DamagedFeatures`: array.json is missing; `FormatError`: it is not one that `create` writes.
    """
    where = f"{root.url}/{prefix}/array.json"
    try:
        meta = parse_json(root.get(f"{prefix}/array.json"))
        shape, dtype, block_rows = tuple(map(int, meta["shape"])), np.dtype(meta["dtype"]), int(meta["block_rows"])
    except FileNotFoundError:
        root.check_there()
        raise DamagedFeatures(f"{where} is missing: run {repair_advice(root)}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{where} is not an array of format 1: {error!r}") from error

    def head(rows: int) -> bytes:
        return _head(rows, shape[1:], dtype.name)

    return Blocks(root, prefix, shape, dtype, block_rows, lambda block: f"{block}.h5", Frame(HEAD, 0, CRC_AT, head))


@lru_cache(maxsize=8)
def _head(rows: int, row_shape: tuple[int, ...], dtype: str) -> bytes:
    """What the HDF5 library writes before a dataset of as many rows."""
    import h5py

    memory = io.BytesIO()
    aligned = {"userblock_size": _USER_BLOCK, "alignment_threshold": 1, "alignment_interval": _USER_BLOCK}
    with h5py.File(memory, "w", libver="v110", **aligned) as file:
        x = np.zeros((rows, *row_shape), np.dtype(dtype).newbyteorder("<"))
        data = file.create_dataset("x", data=x, track_times=False)
        start, size = data.id.get_offset(), data.nbytes
    written = memory.getvalue()
    if (start, start + size) != (HEAD, len(written)):
        raise FormatError(f"HDF5 {h5py.version.hdf5_version} puts x at byte {start}, format 1 at {HEAD}: use zarr")
    return _LABEL.ljust(_USER_BLOCK, b"\0") + written[_USER_BLOCK:HEAD]


def publish(root: Root, folder: str) -> None:
    """Write x.h5, whose virtual dataset `features` is all blocks in order. Readers of ours do without it."""
    import h5py

    blocks = open_blocks(root, f"{folder}/x")
    layout = h5py.VirtualLayout(blocks.shape, blocks.dtype)
    for rows, name in _sources(blocks):
        source = h5py.VirtualSource(name, "x", (len(rows), *blocks.row_shape))
        layout[rows.start : rows.stop] = source
    memory = io.BytesIO()
    with h5py.File(memory, "w", libver="v110") as file:
        file.create_virtual_dataset("features", layout, fillvalue=FILL[blocks.dtype.kind])
    root.put(f"{folder}/x.h5", memory.getvalue())


def _sources(blocks: Blocks) -> list[tuple[range, str]]:
    """Rows of x.h5, and the file that holds them."""
    return [(blocks.rows(block), f"x/{block}.h5") for block in range(blocks.num_blocks)]


def wrongly_published(root: Root, folder: str) -> str:
    """What is wrong with x.h5, which only other programs read; empty: nothing."""
    import h5py

    from store.foreign_hdf5 import check_readable

    blocks, path = open_blocks(root, f"{folder}/x"), root.path(f"{folder}/x.h5")
    try:
        if path is not None and path.is_file():
            check_readable(path)  # the library may hang or die of what is damaged
        with h5py.File(io.BytesIO(root.get(f"{folder}/x.h5")), "r") as file:
            data = file["features"]
            shown = [(one.vspace.get_select_bounds(), one.file_name, one.dset_name) for one in data.virtual_sources()]
            right = (data.shape, data.dtype) == (blocks.shape, blocks.dtype)
    except FileNotFoundError:
        return "x.h5 is missing"
    except (OSError, KeyError, ValueError, RuntimeError, AttributeError) as error:
        return f"x.h5 cannot be read ({error})"
    need = [(((rows.start, 0), (rows.stop - 1, blocks.shape[1] - 1)), name, "x") for rows, name in _sources(blocks)]
    return "" if right and sorted(shown) == sorted(need) else "x.h5 does not show the blocks"
