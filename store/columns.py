"""Columns of a table: one-dimensional Zarr arrays in large blocks, so that 10^9 rows are some thousand objects."""

import numpy as np

from store import zarr_blocks
from store.blocks import Blocks
from store.root import Root

COLUMN_BYTES = 8 << 20
"""Bytes in a block of a column."""


def make_column(root: Root, prefix: str, count: int, dtype: str, axis: str) -> Blocks:
    """An empty column of `count` values, whose blocks are still to be written."""
    rows = min(COLUMN_BYTES // np.dtype(dtype).itemsize, count)
    zarr_blocks.create(root, prefix, (count,), dtype, rows, (axis,))
    return zarr_blocks.open_blocks(root, prefix)


def save_column(root: Root, prefix: str, values: np.ndarray, axis: str) -> None:
    blocks = make_column(root, prefix, len(values), values.dtype.name, axis)
    for block in range(blocks.num_blocks):
        span = blocks.rows(block)
        blocks.write_block(block, values[span.start : span.stop])


def load_column(root: Root, prefix: str) -> np.ndarray:
    """Raises `DamagedFeatures`, `FormatError`."""
    return zarr_blocks.open_blocks(root, prefix).read(slice(None))
