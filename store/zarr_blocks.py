"""The Zarr backend: a Zarr v3 array whose chunks are the blocks.

Uncompressed chunks with their CRC-32C at the end (Zarr's `crc32c` codec), so that a local block can be memory-mapped
and any Zarr reader opens the array and checks it. The last chunk is padded to the full block, as Zarr wants it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from store.blocks import CRC_BYTES, FILL, Blocks, Frame
from store.errors import DamagedFeatures, FormatError
from store.json_text import parse_json
from store.root import Root, repair_advice


def create(root: Root, prefix: str, shape: Sequence[int], dtype: str, block_rows: int, names: Sequence[str]) -> None:
    """Write the array's metadata, zarr.json, if there is none."""
    import zarr
    from zarr.codecs import BytesCodec, Crc32cCodec

    kind, made = np.dtype(dtype).kind, dict[str, Any]()
    zarr.create_array(
        made,
        shape=tuple(shape),
        chunks=(block_rows, *shape[1:]),
        dtype=dtype,
        fill_value=FILL[kind],
        serializer=BytesCodec(endian="little" if np.dtype(dtype).itemsize > 1 else None),
        compressors=(Crc32cCodec(),),
        filters=(),
        chunk_key_encoding={"name": "default", "separator": "."},  # flat: one listing finds every block
        dimension_names=tuple(names),
    )
    root.put_new(f"{prefix}/zarr.json", made["zarr.json"].to_bytes())


def open_blocks(root: Root, prefix: str) -> Blocks:
    """Open an array that `create` made.

    Raises `DamagedFeatures`: zarr.json is missing; `FormatError`: it is not one that `create` writes.
    """
    where = f"{root.url}/{prefix}/zarr.json"
    try:
        meta = parse_json(root.get(f"{prefix}/zarr.json"))
        shape, dtype = tuple(meta["shape"]), np.dtype(meta["data_type"])
        chunk = tuple(meta["chunk_grid"]["configuration"]["chunk_shape"])
        codecs = [codec["name"] for codec in meta["codecs"]]
        encoding = meta["chunk_key_encoding"]["configuration"]["separator"]
    except FileNotFoundError:
        root.check_there()
        raise DamagedFeatures(f"{where} is missing: run {repair_advice(root)}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{where} is not a Zarr v3 array: {error!r}") from error
    if codecs != ["bytes", "crc32c"] or encoding != "." or chunk[1:] != shape[1:] or chunk[:1] < (1,):
        raise FormatError(
            f"{where} has codecs {codecs}, chunks {chunk} of {shape}, separator {encoding!r}; "
            "format 1 has codecs bytes and crc32c, chunks of whole rows, separator '.'"
        )
    tail = ".0" * (len(shape) - 1)
    frame = Frame(start=0, tail=CRC_BYTES, crc_at=-CRC_BYTES, padded=True)
    return Blocks(root, prefix, shape, dtype, chunk[0], lambda block: f"c.{block}{tail}", frame)


def publish(root: Root, folder: str) -> None:
    """Nothing to add at the commit: the chunks are the array."""


def wrongly_published(root: Root, folder: str) -> str:  # noqa: ARG001
    """Nothing was added, so nothing can be wrong."""
    return ""
