"""Rows that need no network: another set of the same network has the features of the same bytes.

Images are added, moved to another split or folder, or stand in two data sets: what went through once is copied.
A batch is padded to one shape (`forward/precision.py`), so a copied row is the row that the network would give.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from store.errors import UserError
from store.features import FeatureSet, candidates, subfolders
from store.fingerprint import Fingerprint
from store.keys import FeatureKey, to_folder
from store.root import Root
from store.samples import Samples

log = logging.getLogger("extract")


class Stored:
    """Features of images by the hash of their bytes, from every committed set that differs in its samples only."""

    def __init__(self, root: Root, backbone: str, fingerprint: Fingerprint) -> None:
        self._sets = list(_sets(root, backbone, fingerprint))
        self._hashes, self._owners, self._rows = self._places()

    def _places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(M,) hashes ascending, and the set and row of each."""
        hashes, owners, rows = [np.empty(0, "V16")], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for i, one in enumerate(self._sets):
            try:
                content = one.content_hashes
            except UserError as error:
                log.warning("not reused: %s", error)
                continue
            fine = np.array(content.view(np.uint8).reshape(len(content), -1).any(axis=1))
            fine[one.bad_rows] = False
            rows.append(np.flatnonzero(fine))
            hashes.append(content[fine])
            owners.append(np.full(len(rows[-1]), i))
        every, first = np.unique(np.concatenate(hashes), return_index=True)
        return every, np.concatenate(owners)[first], np.concatenate(rows)[first]

    def _find(self, content: bytes) -> int | None:
        one = np.frombuffer(content, "V16")
        at = int(np.searchsorted(self._hashes, one)[0])
        return at if at < len(self._hashes) and self._hashes[at] == one[0] else None

    def __contains__(self, content: bytes) -> bool:
        return len(self._hashes) > 0 and self._find(content) is not None

    def likely(self, samples: Samples, most: int) -> int:
        """How many samples, `most` at most, have the name and size of one that is stored; no file is read."""
        names = [np.empty(0, np.int64)]
        for one in self._sets:
            with suppress(UserError):  # a damaged list: whoever opens it is told
                names.append(_hashes(one.samples))
        return min(most, int(np.isin(_hashes(samples), np.unique(np.concatenate(names))).sum()))

    def read(self, contents: Sequence[bytes]) -> np.ndarray:
        """(n, D) float32 of images that are `in` here. Raises `DamagedFeatures`: what is stored cannot be read."""
        at = np.array([self._find(content) for content in contents], np.int64)
        owners, rows = self._owners[at], self._rows[at]
        out = np.empty((len(at), self._sets[0].dim), np.float32)
        for owner in np.unique(owners).tolist():
            mine = np.flatnonzero(owners == owner)
            mine = mine[np.argsort(rows[mine], kind="stable")]
            out[mine] = self._sets[owner].read(rows[mine])
        return out


def _sets(root: Root, backbone: str, fingerprint: Fingerprint) -> Iterator[FeatureSet]:
    """The committed sets of a backbone, of any split and dataset, whose fingerprint differs in the samples only."""
    wanted = _without_samples(fingerprint.parts())
    if wanted["recipe"].get("view", 0):
        return  # its crop is drawn from the sample's id
    for dataset in subfolders(root, "features"):
        for split in subfolders(root, f"features/{to_folder(dataset)}"):
            with suppress(UserError):  # a folder that is not ours, a damaged manifest: whoever opens it is told
                key = FeatureKey(dataset, split, backbone)
                for hexdigits, manifest in candidates(root, key).items():
                    if _without_samples(manifest.parts) == wanted:
                        yield FeatureSet(root, f"{key.folder}/{hexdigits}", manifest)


def _hashes(samples: Samples) -> np.ndarray:
    pairs = zip(samples.ids, samples.sizes.tolist(), strict=True)
    return np.fromiter((hash(pair) for pair in pairs), np.int64, len(samples))


def _without_samples(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if name != "samples"}
