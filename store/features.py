"""One committed feature set, read-only, and what is stored under a name."""

import hashlib
from contextlib import suppress
from functools import cached_property

import numpy as np

from store import zarr_blocks
from store.backends import backend
from store.blocks import Blocks
from store.columns import load_column
from store.errors import DamagedFeatures, FormatError, MissingFeatures
from store.keys import FeatureKey, from_folder, is_hash, to_folder
from store.manifest import Manifest, read_manifest
from store.root import Root, repair_advice
from store.sample_files import load_samples
from store.samples import Samples


class FeatureSet:
    """Features (N, D) of one backbone on one split. Opening reads the manifest, if it is not given, and no more."""

    def __init__(self, root: Root, folder: str, manifest: Manifest | None = None) -> None:
        self.root, self.folder = root, folder
        self.manifest = manifest or self._read_manifest()

    def _read_manifest(self) -> Manifest:
        try:
            return read_manifest(self.root, self.folder)
        except FileNotFoundError:
            raise MissingFeatures(f"{self.root.url}/{self.folder} holds no committed feature set") from None

    def __repr__(self) -> str:
        return f"FeatureSet({self.manifest.key}@{self.manifest.fingerprint[:8]}, {self.shape})"

    @property
    def shape(self) -> tuple[int, int]:
        return self.manifest.num_samples, self.manifest.dim

    @property
    def dim(self) -> int:
        return self.manifest.dim

    @cached_property
    def samples(self) -> Samples:
        samples = load_samples(self.root, self.manifest.dataset, self.manifest.split, self.manifest.samples)
        self._check_rows("the list of samples", len(samples))
        return samples

    @cached_property
    def checksums(self) -> np.ndarray:
        """(blocks,) uint32: the CRC-32C of every block of features at the commit.

        Raises `DamagedFeatures`: they are not those of the manifest.
        """
        column = load_column(self.root, f"{self.folder}/checksums")
        if hashlib.sha256(column.tobytes()).hexdigest() != self.manifest.checksums:
            raise self._damaged("checksums")
        return column

    @cached_property
    def blocks(self) -> Blocks:
        blocks: Blocks = backend(self.manifest.backend).open_blocks(self.root, f"{self.folder}/x")
        manifest, stored = self.manifest, (blocks.shape, blocks.block_rows, blocks.dtype.name)
        if stored != (self.shape, manifest.block_rows, manifest.dtype):
            raise FormatError(
                f"{self.root.url}/{self.folder}: the manifest says {self.shape} of {manifest.dtype} in blocks of "
                f"{manifest.block_rows} rows, the array is {stored[0]} of {stored[2]} in blocks of {stored[1]}; "
                f"run {repair_advice(self.root)}"
            )
        blocks.committed = lambda: self.checksums
        return blocks

    @cached_property
    def content(self) -> Blocks:
        """(N, 16) uint8: the hash of each image's bytes."""
        hashes = zarr_blocks.open_blocks(self.root, f"{self.folder}/content")
        self._check_rows("content", hashes.shape[0])
        return hashes

    @cached_property
    def content_hashes(self) -> np.ndarray:
        """(N,) void of 16 bytes: the hash of each image's bytes, zeros where none was seen; read once, 16 N bytes.

        Raises `DamagedFeatures`: they are not those of the manifest.
        """
        rows = np.ascontiguousarray(self.content.read(slice(None)))
        self.check_content(hashlib.sha256(rows.tobytes()).hexdigest())
        return rows.view(f"V{rows.shape[1]}").ravel()

    def check_content(self, digest: str) -> None:
        """Raise `DamagedFeatures` if the SHA-256 over all rows of `content` is not that of the manifest."""
        if digest != self.manifest.content:
            raise self._damaged("content")

    def _check_rows(self, what: str, count: int) -> None:
        if count != self.shape[0]:
            raise FormatError(
                f"{self.root.url}/{self.folder}: {what} has {count} rows, the manifest says {self.shape[0]}; "
                f"run {repair_advice(self.root)}"
            )

    def _damaged(self, what: str) -> DamagedFeatures:
        return DamagedFeatures(
            f"{self.root.url}/{self.folder}/{what} is not what the manifest says: run {repair_advice(self.root)}",
            what=f"{what} is not what the manifest says",
        )

    @cached_property
    def bad_rows(self) -> np.ndarray:
        """Rows whose image could not be read, ascending int64; their features are NaN."""
        return np.array(sorted(int(row) for row in self.manifest.bad_rows), np.int64)

    def read(self, rows: slice | np.ndarray = slice(None), out: np.ndarray | None = None) -> np.ndarray:
        """Features of `rows` (a slice or an index array), (n, D) float32, or in `out` whatever its dtype.

        Raises `DamagedFeatures`: a block is missing, truncated or does not match its checksum.
        """
        if out is None:
            out = np.empty((num_rows(rows, self.shape[0]), self.dim), np.float32)
        return self.blocks.read(rows, out)


def num_rows(rows: slice | np.ndarray, count: int) -> int:
    """How many of `count` rows a slice, an index array or a mask asks for."""
    if isinstance(rows, slice):
        return len(range(*rows.indices(count)))
    rows = np.asarray(rows)
    return int(np.count_nonzero(rows)) if rows.dtype == bool else len(rows)


def candidates(root: Root, key: FeatureKey) -> dict[str, Manifest]:
    """Every committed set of a key: fingerprint -> manifest.

    Raises `FormatError`: one is damaged, or belongs elsewhere.
    """
    found = {}
    for fingerprint in filter(is_hash, sorted(root.list(key.folder))):
        with suppress(FileNotFoundError):  # not committed
            found[fingerprint] = read_manifest(root, f"{key.folder}/{fingerprint}")
    return found


def backbones(root: Root, dataset: str, split: str) -> list[str]:
    """Names that have a folder under this split, committed or not."""
    return subfolders(root, f"features/{to_folder(dataset)}/{to_folder(split)}")


def subfolders(root: Root, below: str) -> list[str]:
    """Names of what has a folder below a key, sorted."""
    return sorted(from_folder(name) for name, size in root.list(below).items() if size is None)
