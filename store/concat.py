"""Feature sets side by side, without copying any: row i is [a[i], b[i], ...]."""

import fnmatch
import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from store.braces import expand_braces
from store.errors import BadValue, MissingFeatures, SamplesMismatch
from store.features import FeatureSet, backbones, num_rows
from store.fingerprint import IMPORTED
from store.keys import dataset_name
from store.listing import read_listing
from store.opening import find_set
from store.root import Root, open_root
from store.samples import Samples

STRIDE_ROWS = 4096
"""About as many are read at a time, however small the blocks."""


class Concat:
    """A lazy (n, sum of D) matrix over feature sets of the same samples.

    Rows that any part could not read are left out of every part, of `samples` and of `shape`: what is left aligns.
    Raises `SamplesMismatch`: the parts list other samples, or saw other image bytes under the same names.
    """

    def __init__(self, parts: Sequence[FeatureSet]) -> None:
        if not parts:
            raise BadValue("a concatenation needs at least one feature set")
        self.parts = tuple(parts)
        first, *rest = self.parts
        for part in rest:
            _check_same_samples(first, part)
        self.bad_rows = np.unique(np.concatenate([part.bad_rows for part in self.parts]))
        """Rows of the sets that are left out, ascending."""
        self.edges = np.cumsum([0, *(part.dim for part in self.parts)])
        """Column edges of the parts, (number of parts + 1,)."""
        self.shape = (first.shape[0] - len(self.bad_rows), int(self.edges[-1]))

    def __repr__(self) -> str:
        return f"Concat({','.join(self.names)}, {self.shape})"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def dim(self) -> int:
        return self.shape[1]

    @property
    def names(self) -> list[str]:
        return [part.manifest.backbone for part in self.parts]

    @property
    def fingerprints(self) -> list[str]:
        return [part.manifest.fingerprint for part in self.parts]

    @property
    def stride(self) -> int:
        """Rows to read at a time: whole blocks of the first part, or all."""
        first = self.parts[0].manifest
        return min(max(1, STRIDE_ROWS // first.block_rows) * first.block_rows, first.num_samples)

    @property
    def rows(self) -> np.ndarray | None:
        """(n,) rows of the sets that are kept, or None for all."""
        return self._kept(np.arange(len(self))) if self.bad_rows.size else None

    def _kept(self, rows: np.ndarray) -> np.ndarray:
        """Row numbers of this concatenation as row numbers of the sets."""
        before = self.bad_rows - np.arange(len(self.bad_rows))  # kept rows before each bad one
        return rows + np.searchsorted(before, rows, side="right")

    @cached_property
    def samples(self) -> Samples:
        """The samples of the kept rows, with their targets."""
        samples, rows = self.parts[0].samples, self.rows
        return samples if rows is None else samples.take(rows)

    def read(self, rows: slice | np.ndarray = slice(None), out: np.ndarray | None = None) -> np.ndarray:
        """Rows (a slice or an index array) as float32 (n, D); pass `out` to fill a buffer of another dtype instead."""
        if out is None:
            out = np.empty((num_rows(rows, len(self)), self.dim), np.float32)
        if self.bad_rows.size:
            rows = self._in_sets(rows)
        for part, low, high in zip(self.parts, self.edges[:-1], self.edges[1:], strict=True):
            part.read(rows, out[:, low:high])
        return out

    def _in_sets(self, rows: slice | np.ndarray) -> slice | np.ndarray:
        if isinstance(rows, slice):
            span = range(*rows.indices(len(self)))
            if span.step == 1 and span:
                first, last = self._kept(np.array([span[0], span[-1]])).tolist()
                if last - first == len(span) - 1:  # no bad row between
                    return slice(first, last + 1)
            return self._kept(np.arange(span.start, span.stop, span.step))
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a concatenation with {len(self)} rows")
        return self._kept(rows)


def _check_same_samples(first: FeatureSet, part: FeatureSet) -> None:
    a, b = first.manifest, part.manifest
    if a.samples != b.samples:
        mend = "Extract the older one again: the images of this split have changed"
        if IMPORTED in (a.parts["architecture"], b.parts["architecture"]):
            mend = "Imported features need the `ids` of the others, as `python -m store export` writes them"
        raise SamplesMismatch(
            f"{a.key} and {b.key} list other samples: {first.samples.first_difference(part.samples)}. {mend}"
        )
    if a.content != b.content:
        bad = np.union1d(first.bad_rows, part.bad_rows)
        changed = [row for row in _changed(first, part) if row not in bad]
        if changed:
            raise SamplesMismatch(
                f"{a.key} and {b.key} saw different image bytes under the same names: {len(changed)} images, first at "
                f"row {changed[0]}: {first.samples.ids[changed[0]]!r}. Remove the older set (`python -m store rm`) and "
                "extract it again"
            )


def _changed(first: FeatureSet, part: FeatureSet) -> list[int]:
    """Rows whose images differ; zeros are the hash of an image that was never seen (imported features)."""
    digests, changed = (hashlib.sha256(), hashlib.sha256()), list[int]()
    for block in range(first.content.num_blocks):
        rows = first.content.rows(block)
        ours, theirs = (side.content.read(slice(rows.start, rows.stop)) for side in (first, part))
        for digest, hashes in zip(digests, (ours, theirs), strict=True):
            digest.update(hashes.tobytes())
        differ = (ours != theirs).any(axis=1) & ours.any(axis=1) & theirs.any(axis=1)
        changed += (rows.start + np.flatnonzero(differ)).tolist()
    for side, digest in zip((first, part), digests, strict=True):
        side.check_content(digest.hexdigest())
    return changed


def expand_names(root: Root, dataset: str, split: str, text: str) -> list[str]:
    """The backbones that `a,b,c` names: `{x,y}` and `{0..9}` in braces expand, `*` and `?` match what is stored.

    Raises `MissingFeatures`: a pattern matches nothing.
    """
    names: list[str] = []
    for item in expand_braces(text):
        if not re.search(r"[*?]", item):
            names.append(item)
            continue
        stored = backbones(root, dataset, split)
        matched = fnmatch.filter(stored, item)
        if not matched:
            have = ", ".join(stored) or "nothing"
            raise MissingFeatures(f"no features of {dataset}/{split} match {item!r} in {root.url}; there is: {have}")
        names += matched
    return names


def open_features(root: str | Path | Root | None, dataset: str, split: str, names: str, *, view: int = 0) -> Concat:
    """Open the concatenation `names` ("a,b,c") of one split of a dataset.

    Raises `MissingFeatures`, `AmbiguousFeatures`, `SamplesMismatch`: store/errors.py.
    """
    opened = open_root(root) if root is None or isinstance(root, str | Path) else root
    wanted = expand_names(opened, dataset_name(dataset), split, names)
    if not wanted:
        raise BadValue(f"no feature names in {names!r}: give --features a,b,c")
    listing = read_listing(opened, dataset_name(dataset))
    return Concat([find_set(opened, listing, dataset, split, backbone, view) for backbone in wanted])
