"""Write one feature set block by block; `commit` makes it visible.

A block is the unit of work, of writing and of resuming: blocks may come in any order from any number of processes.
Readers look for manifest.json, which is written last, so a half-written set cannot be read by accident.
"""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np

from store import backends, zarr_blocks
from store.blocks import Blocks, finite_rows
from store.columns import save_column
from store.errors import BadFeatures, BadValue
from store.fingerprint import Fingerprint
from store.json_text import parse_json
from store.keys import FeatureKey
from store.manifest import Manifest
from store.root import Root
from store.sample_files import save_samples
from store.samples import Samples
from store.started import read_started, write_started

BLOCK_ROWS, FEWEST_ROWS, MOST_BLOCKS = 4096, 256, 16
"""Of `rows_of_block`. 256 rows are whole batches on every device."""
CONTENT_BYTES = 16
"""Bytes of an image's content hash, BLAKE2b."""
DTYPES = ("float16", "float32")
THREADS = 32
"""Small reads at a time, while committing: on object storage each waits for its answer."""


def rows_of_block(count: int) -> int:
    """Rows of a block of a split of `count` rows: at most 4096, and fewer where that made less than 16 blocks.

    A block is what a kill loses and what ranks share out, so a short split needs several. It depends on nothing else:
    the blocks of all backbones of a split line up.
    """
    sixteenth = -(-count // MOST_BLOCKS)
    return min(BLOCK_ROWS, -(-sixteenth // FEWEST_ROWS) * FEWEST_ROWS)


def content_hash(data: bytes) -> bytes:
    """The hash of one image's bytes, 16 bytes."""
    return hashlib.blake2b(data, digest_size=CONTENT_BYTES).digest()


class FeatureWriter:
    """Blocks of one feature set on their way to a commit.

    `choices` are what the first run decided beyond the fingerprint (batch size): a later run gets the first run's
    back in `self.choices`, so that resuming is exact. Nothing is written before `choices` or `write` is used.
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
        block_rows: int | None = None,
        backend: str = "zarr",
    ) -> None:
        if not len(samples):
            raise BadValue(f"{samples.dataset}/{samples.split} has no samples")
        if fingerprint.dtype not in DTYPES:
            raise BadValue(f"dtype {fingerprint.dtype!r}: features are stored as {' or '.join(DTYPES)}")
        if fingerprint.samples != samples.id:
            raise BadValue(f"{key}: the fingerprint belongs to other samples")
        if dim < 1:
            raise BadValue(f"{key}: features need at least one column, not {dim}")
        backends.backend(backend)
        self.root, self.key, self.fingerprint, self.samples, self.dim = root, key, fingerprint, samples, dim
        self.folder = f"{key.folder}/{fingerprint.hex}"
        self._started: dict[str, Any] | None = None
        self._asked = {
            "parts": fingerprint.parts(),
            "choices": dict(choices or {}),
            "block_rows": min(block_rows or rows_of_block(len(samples)), len(samples)),
            "backend": backend,
        }
        self._hold: object = None

    def save_samples(self) -> None:
        """Write the list of samples if it is new, and make its targets the current ones: all that relabelling needs."""
        save_samples(self.root, self.samples)

    @property
    def committed(self) -> bool:
        return self.root.size(f"{self.folder}/manifest.json") is not None

    @property
    def started(self) -> bool:
        """Whether a run has made its choices already."""
        return self._plan is not self._asked

    @property
    def choices(self) -> dict[str, Any]:
        """What the first run chose; this run's own if it is the first."""
        return dict(self._begin()["choices"])

    @property
    def block_rows(self) -> int:
        return int(self._plan["block_rows"])

    @property
    def _plan(self) -> dict[str, Any]:
        """What the first run wrote to started.json; until one did, what was asked of this one."""
        if self._started is None:
            try:
                self._started = read_started(self.root, self.folder)
            except FileNotFoundError:
                return self._asked
        return self._started

    def _begin(self) -> dict[str, Any]:
        if self._hold is None:
            if self._plan is self._asked:
                write_started(self.root, self.folder, self._asked)
            self._hold = self.root.hold(f"{self.folder}/started.json")
        return self._plan

    @cached_property
    def _arrays(self) -> tuple[Blocks, Blocks]:
        """(features, content hashes), created where they are missing."""
        self.save_samples()
        plan = self._begin()
        count, rows = len(self.samples), self.block_rows
        names = ("sample", "feature")
        made = backends.backend(plan["backend"])
        made.create(self.root, f"{self.folder}/x", (count, self.dim), self.fingerprint.dtype, rows, names)
        hashes = f"{self.folder}/content"
        zarr_blocks.create(self.root, hashes, (count, CONTENT_BYTES), "uint8", rows, ("sample", "byte"))
        x = made.open_blocks(self.root, f"{self.folder}/x")
        if x.shape != (count, self.dim):
            raise BadFeatures(f"{self.key}: the backbone gives {self.dim} columns, the blocks have {x.shape[1]}")
        return x, zarr_blocks.open_blocks(self.root, hashes)

    def rows(self, block: int) -> range:
        return range(block * self.block_rows, min((block + 1) * self.block_rows, len(self.samples)))

    @property
    def num_blocks(self) -> int:
        return -(-len(self.samples) // self.block_rows)

    def missing(self) -> list[int]:
        """Blocks not stored yet, ascending; empty means ready to commit."""
        if self.committed:
            return []
        if not self.started:
            return list(range(self.num_blocks))
        x, content = self._arrays
        stored = x.stored() & content.stored()
        return [block for block in range(self.num_blocks) if block not in stored]

    def has(self, block: int) -> bool:
        """Whether one block is stored, without a listing."""
        sizes = [(each.key(block), each.object_bytes(block)) for each in self._arrays]
        return self.committed or all(self.root.size(key) == size for key, size in sizes)

    def write(
        self, block: int, x_BD: np.ndarray, content_B: np.ndarray, bad_rows: Mapping[int, str] | None = None
    ) -> bool:
        """Store one block; durable when this returns. False: another process had stored it first, and its block stays.

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
            stored_BD = x_BD.astype(self.fingerprint.dtype, order="C", copy=bool(bad))
        inside = [row - rows.start for row in bad]
        if bad:
            stored_BD[inside] = np.nan
        fine_B = finite_rows(stored_BD)
        fine_B[inside] = True
        if not fine_B.all():
            self._refuse(rows, x_BD, int(np.argmin(fine_B)))
        data, checksum = x.encode(block, stored_BD)
        with ThreadPoolExecutor(1) as pool:  # a block counts when both are there, in whatever order
            hashes = pool.submit(content.write_block, block, content_B)
            if bad:
                text = json.dumps({str(row): reason for row, reason in sorted(bad.items())})
                self.root.put(f"{self.folder}/bad/{block}.{checksum}.json", text.encode())
            # Never over another process's block: what is committed cannot change under its manifest.
            key = x.key(block)
            first = self.root.put_new(key, data)
            if not first and self.root.size(key) != data.nbytes:
                self.root.put(key, data)
            hashes.result()
        return first

    def _refuse(self, rows: range, x_BD: np.ndarray, first: int) -> None:
        where = f"{self.key}, row {rows[first]} ({self.samples.ids[rows[first]]!r})"
        worst = np.abs(x_BD[first]).max()
        if np.isfinite(worst):
            raise BadFeatures(f"{where}: a feature of {worst:g} does not fit float16; run again with --dtype float32")
        raise BadFeatures(f"{where}: a feature is not finite (NaN or infinity); run again with --precision fp32")

    def commit(self, provenance: Mapping[str, Any], precision: Mapping[str, Any] | None = None) -> bool:
        """Publish the set if every block is stored; any process may call it, at any time.

        On a committed set it only makes this run's targets the current ones.
        """
        if self.missing():
            return False
        self.save_samples()
        if self.committed:
            return True
        x, content = self._arrays
        with ThreadPoolExecutor(THREADS) as pool:
            checksums = list(pool.map(x.checksum, range(self.num_blocks)))
            digest = hashlib.sha256()
            for first in range(0, self.num_blocks, 8 * THREADS):
                for hashes in pool.map(content.read_block, range(first, min(first + 8 * THREADS, self.num_blocks))):
                    digest.update(hashes.tobytes())
        column = np.array([int(text, 16) for text in checksums], "<u4")
        save_column(self.root, f"{self.folder}/checksums", column, "block")
        backends.backend(self._plan["backend"]).publish(self.root, self.folder)
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
            backend=self._plan["backend"],
            checksums=hashlib.sha256(column.tobytes()).hexdigest(),
            content=digest.hexdigest(),
            bad_rows=self._bad_rows(checksums),
            precision=dict(precision or {}),
            provenance={"created": datetime.now(UTC).isoformat(timespec="seconds"), **provenance},
        )
        self.root.put_new(f"{self.folder}/manifest.json", manifest.to_json().encode())
        self._hold = None
        return True

    def _bad_rows(self, checksums: list[str]) -> dict[str, str]:
        """What was said about the blocks that are stored; a process whose block did not get there has no say."""
        stored = {f"{block}.{checksum}.json" for block, checksum in enumerate(checksums)}
        bad: dict[str, str] = {}
        for name in sorted(stored & self.root.list(f"{self.folder}/bad").keys()):
            bad |= parse_json(self.root.get(f"{self.folder}/bad/{name}"))
        return dict(sorted(bad.items(), key=lambda item: int(item[0])))
