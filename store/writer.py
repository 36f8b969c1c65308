"""Write one feature set block by block; `commit` makes it visible.

A block is the unit of work, of writing and of resuming: blocks may come in any order from any number of processes.
Readers look for manifest.json, which is written last, so a half-written set cannot be read by accident.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from store import zarr_blocks
from store.errors import BadFeatures, BadValue
from store.fingerprint import Fingerprint
from store.keys import FeatureKey
from store.manifest import Manifest
from store.root import Root
from store.samples import Samples, save_samples
from store.zarr_blocks import ZarrBlocks

BLOCK_ROWS = 4096
"""Rows of a block, for every backbone, so that the blocks of a concatenation line up."""
CONTENT_BYTES = 16
"""Bytes of an image's content hash, BLAKE2b."""
DTYPES = ("float16", "float32")


def content_hash(data: bytes) -> bytes:
    """The hash of one image's bytes, 16 bytes."""
    return hashlib.blake2b(data, digest_size=CONTENT_BYTES).digest()


class FeatureWriter:
    """Blocks of one feature set on their way to a commit.

    `choices` are what the first run decided beyond the fingerprint (batch size): a later run gets the first run's
    back in `self.choices`, so that resuming is exact.
    """

    def __init__(
        self,
        root: Root,
        key: FeatureKey,
        fingerprint: Fingerprint,
        samples: Samples,
        dim: int,
        *,
        choices: Mapping[str, Any] | None = None,
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        if fingerprint.dtype not in DTYPES:
            raise BadValue(f"dtype {fingerprint.dtype!r}: features are stored as {' or '.join(DTYPES)}")
        if fingerprint.samples != samples.id:
            raise BadValue(f"{key}: the fingerprint belongs to other samples")
        if dim < 1:
            raise BadValue(f"{key}: features need at least one column, not {dim}")
        self.root, self.key, self.fingerprint, self.samples, self.dim = root, key, fingerprint, samples, dim
        self.folder = f"{key.folder}/{fingerprint.hex}"
        self.block_rows = min(block_rows, len(samples))
        self._asked = dict(choices or {})

    def save_samples(self) -> None:
        """Write the list of samples if it is new, and make its targets the current ones: all that relabelling needs."""
        save_samples(self.root, self.samples)

    @property
    def committed(self) -> bool:
        return self.root.size(f"{self.folder}/manifest.json") is not None

    @cached_property
    def choices(self) -> dict[str, Any]:
        """What the first run chose; this run's own if it is the first."""
        started = {"parts": self.fingerprint.parts(), "choices": self._asked}
        if self.root.put_new(f"{self.folder}/started.json", json.dumps(started, indent=1).encode()):
            return self._asked
        return dict(json.loads(self.root.get(f"{self.folder}/started.json"))["choices"])

    @cached_property
    def _arrays(self) -> tuple[ZarrBlocks, ZarrBlocks]:
        """(features, content hashes), created where they are missing."""
        self.save_samples()
        count = len(self.samples)
        for name, width, dtype, axis in (
            ("x", self.dim, self.fingerprint.dtype, "feature"),
            ("content", CONTENT_BYTES, "uint8", "byte"),
        ):
            if self.root.size(f"{self.folder}/{name}/zarr.json") is None:
                shape, names = (count, width), ("sample", axis)
                zarr_blocks.create(self.root, f"{self.folder}/{name}", shape, dtype, self.block_rows, names)
        x, content = (ZarrBlocks(self.root, f"{self.folder}/{name}") for name in ("x", "content"))
        if x.shape != (count, self.dim):
            raise BadFeatures(f"{self.key}: the backbone gives {self.dim} columns, the blocks have {x.shape[1]}")
        self.block_rows = x.block_rows
        return x, content

    def rows(self, block: int) -> range:
        return range(block * self.block_rows, min((block + 1) * self.block_rows, len(self.samples)))

    @property
    def num_blocks(self) -> int:
        return -(-len(self.samples) // self.block_rows)

    def missing(self) -> list[int]:
        """Blocks not stored yet, ascending; empty means ready to commit."""
        if self.committed:
            return []
        stored = self._arrays[0].stored()
        return [block for block in range(self.num_blocks) if block not in stored]

    def write(
        self, block: int, x_BD: np.ndarray, content_B: np.ndarray, bad_rows: Mapping[int, str] | None = None
    ) -> None:
        """Store one block; durable when this returns.

        Args:
            x_BD: features of all rows of the block, any float dtype; cast to the set's dtype.
            content_B: (B, 16) uint8, `content_hash` of each image.
            bad_rows: row of the split -> why its image could not be read; these rows are stored as NaN.
        Raises: BadFeatures: shape, non-finite values, or values beyond float16, with the first row.
        """
        x, content = self._arrays
        rows, bad = self.rows(block), dict(bad_rows or {})
        if x_BD.shape != (need := (len(rows), self.dim)):
            raise BadFeatures(f"{self.key}, block {block}: features are {x_BD.shape}, need {need}")
        with np.errstate(over="ignore"):
            stored_BD = x_BD.astype(self.fingerprint.dtype)
        inside = [row - rows.start for row in bad]
        stored_BD[inside] = np.nan
        fine_B = np.isfinite(stored_BD).all(axis=1)
        fine_B[inside] = True
        if not fine_B.all():
            self._refuse(rows, x_BD, int(np.argmin(fine_B)))
        content.write_block(block, content_B)
        if bad:
            text = json.dumps({str(row): reason for row, reason in sorted(bad.items())})
            self.root.put(f"{self.folder}/bad/{block}.json", text.encode())
        x.write_block(block, stored_BD)  # last: a block of x is what `missing` counts

    def _refuse(self, rows: range, x_BD: np.ndarray, first: int) -> None:
        where = f"{self.key}, row {rows[first]} ({self.samples.ids[rows[first]]!r})"
        worst = np.abs(x_BD[first]).max()
        if np.isfinite(worst):
            raise BadFeatures(f"{where}: a feature of {worst:g} does not fit float16; run again with --dtype float32")
        raise BadFeatures(f"{where}: a feature is not finite (NaN or infinity); run again with --precision fp32")

    def commit(self, provenance: Mapping[str, Any], precision: Mapping[str, Any] | None = None) -> bool:
        """Publish the set if every block is stored; any process may call it, at any time."""
        if self.missing():
            return False
        if self.committed:
            return True
        x, content = self._arrays
        digest = hashlib.sha256()
        for block in range(self.num_blocks):
            digest.update(content.read_block(block).tobytes())
        bad: dict[str, str] = {}
        for name in self.root.list(f"{self.folder}/bad"):
            bad |= json.loads(self.root.get(f"{self.folder}/bad/{name}"))
        manifest = Manifest(
            dataset=self.key.dataset,
            split=self.key.split,
            backbone=self.key.backbone,
            fingerprint=self.fingerprint.hex,
            parts=self.fingerprint.parts(),
            samples=self.samples.id,
            num_samples=len(self.samples),
            dim=self.dim,
            dtype=self.fingerprint.dtype,
            block_rows=self.block_rows,
            backend="zarr",
            checksums=tuple(x.checksum(block) for block in range(self.num_blocks)),
            content=digest.hexdigest(),
            bad_rows=bad,
            precision=dict(precision or {}),
            provenance=dict(provenance),
        )
        self.root.put_new(f"{self.folder}/manifest.json", manifest.to_json().encode())
        return True
