"""What is in a store: every feature set with its state."""

import difflib
import fnmatch
import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from store.backends import backend
from store.blocks import Blocks
from store.errors import MissingFeatures, NewerFormat, UserError
from store.keys import FeatureKey, from_folder, is_hash
from store.manifest import Manifest, read_manifest
from store.root import Root, list_command
from store.started import read_started

COMMITTED, WRITING, UNFINISHED, DAMAGED, NEWER = "committed", "writing", "unfinished", "damaged", "newer"
QUIET_SECONDS = 600.0
"""Where no lock can tell, a set that did not grow for this long, or three times its pace, has no writer."""
_THREADS = 16


@dataclass(frozen=True)
class StoredSet:
    """One folder of fingerprints; `num_samples` and `dim` are 0 where nobody wrote them yet."""

    key: FeatureKey
    fingerprint: str
    state: str
    num_samples: int = 0
    dim: int = 0
    bytes: int = 0
    blocks: int = 0
    """Blocks stored."""
    num_blocks: int = 0
    manifest: Manifest | None = None
    problem: str = ""

    @property
    def folder(self) -> str:
        return f"{self.key.folder}/{self.fingerprint}"

    @property
    def name(self) -> str:
        return f"{self.key}@{self.fingerprint[:8]}"

    @property
    def view(self) -> int:
        return int(self.manifest.parts["recipe"].get("view", 0)) if self.manifest else 0

    def to_json(self) -> dict[str, Any]:
        key = self.key
        return {
            "dataset": key.dataset, "split": key.split, "backbone": key.backbone, "fingerprint": self.fingerprint,
            "view": self.view, "num_samples": self.num_samples, "dim": self.dim, "bytes": self.bytes,
            "state": self.state, "blocks": self.blocks, "num_blocks": self.num_blocks, "problem": self.problem,
            "dtype": self.manifest.dtype if self.manifest else "",
            "created": str(self.manifest.provenance.get("created", "")) if self.manifest else "",
        }  # fmt: skip


def folders(root: Root, prefix: str) -> list[str]:
    """Names of the folders directly below a key, sorted."""
    return sorted(name for name, size in root.list(prefix).items() if size is None)


def _fingerprints(root: Root, folder: str) -> list[str]:
    return [name for name in folders(root, folder) if is_hash(name)]


def _keys(root: Root) -> Iterator[FeatureKey]:
    for dataset in folders(root, "features"):
        for split in folders(root, f"features/{dataset}"):
            for name in folders(root, f"features/{dataset}/{split}"):
                with suppress(UserError):  # a folder that we did not make
                    key = FeatureKey(from_folder(dataset), from_folder(split), from_folder(name))
                    if key.folder == f"features/{dataset}/{split}/{name}":
                        yield key


def find_sets(
    root: Root, patterns: Sequence[str] = (), *, dataset: str | None = None, split: str | None = None
) -> list[StoredSet]:
    """Every feature set, or those that match: `backbone`, `split/backbone` or `dataset/split/backbone`.

    `*` and `?` match, also in `dataset` and `split`; `@3f9c` after the backbone picks a fingerprint. Raises
    `MissingFeatures`: a pattern that matches nothing.
    """
    keys = [
        key
        for key in _keys(root)
        if fnmatch.fnmatchcase(key.dataset, dataset or "*") and fnmatch.fnmatchcase(key.split, split or "*")
    ]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = zip(keys, pool.map(lambda key: _fingerprints(root, key.folder), keys), strict=True)
        names = [(key, fingerprint) for key, fingerprints in found for fingerprint in fingerprints]
        chosen = names if not patterns else [name for name in names if any(_matches(p, *name) for p in patterns)]
        for pattern in patterns:
            if not any(_matches(pattern, *name) for name in chosen):
                have = sorted({str(key) for key, _ in names})
                near = difflib.get_close_matches(pattern, [*have, *(key.backbone for key, _ in names)], n=1, cutoff=0.5)
                nearest = f"nearest: {near[0]}; " if near else ""
                raise MissingFeatures(
                    f"no feature set matches {pattern!r} in {root.url}; {nearest}there is: "
                    f"{', '.join(have[:10]) or 'nothing'}; `{list_command(root.url)}` lists all"
                )
        return list(pool.map(lambda name: _look(root, *name), chosen))


def _matches(pattern: str, key: FeatureKey, fingerprint: str) -> bool:
    path = str(key).split("/")
    parts = pattern.split("/")
    if len(parts) > len(path) or not all(map(fnmatch.fnmatchcase, path[-len(parts) : -1], parts[:-1])):
        return False
    base, at, digits = parts[-1].rpartition("@")
    picked = bool(at) and fingerprint.startswith(digits) and fnmatch.fnmatchcase(key.backbone, base)
    return picked or fnmatch.fnmatchcase(key.backbone, parts[-1])


def _look(root: Root, key: FeatureKey, fingerprint: str) -> StoredSet:
    folder = f"{key.folder}/{fingerprint}"
    try:
        manifest = read_manifest(root, folder)
    except FileNotFoundError:
        return _look_at_half(root, key, fingerprint)
    except UserError as error:
        state = NEWER if isinstance(error, NewerFormat) else DAMAGED
        return StoredSet(key, fingerprint, state, problem=str(error))
    size = manifest.num_samples * manifest.dim * np.dtype(manifest.dtype).itemsize
    count = manifest.num_blocks
    return StoredSet(
        key, fingerprint, COMMITTED, manifest.num_samples, manifest.dim, size, count, count, manifest=manifest
    )


def _look_at_half(root: Root, key: FeatureKey, fingerprint: str) -> StoredSet:
    folder = f"{key.folder}/{fingerprint}"
    state = WRITING if being_written(root, folder) else UNFINISHED
    try:
        x = open_half(root, folder)
        stored = x.stored()
        size = sum(x.object_bytes(block) for block in stored)
        return StoredSet(key, fingerprint, state, x.shape[0], x.shape[1], size, len(stored), x.num_blocks)
    except FileNotFoundError:
        return StoredSet(key, fingerprint, state)
    except UserError as error:
        return StoredSet(key, fingerprint, DAMAGED if state == UNFINISHED else state, problem=str(error))


def open_half(root: Root, folder: str) -> Blocks:
    """The features of a set that is not committed. Raises `FileNotFoundError`: not begun; `DamagedFeatures`."""
    kind = read_started(root, folder)["backend"]
    if not root.list(f"{folder}/x"):
        raise FileNotFoundError(f"{folder}/x")
    blocks: Blocks = backend(kind).open_blocks(root, f"{folder}/x")
    return blocks


def being_written(root: Root, folder: str) -> bool:
    """Whether a process is filling this set now.

    A writer holds started.json by a lock that ends with the process. Where there are no locks (object storage),
    a set counts as being written until it has been quiet for three times the usual time between its blocks.
    """
    held = root.held(f"{folder}/started.json")
    if held is not None:
        return held
    times = written(root, folder)
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    quiet = max(QUIET_SECONDS, 3 * statistics.median(gaps)) if gaps else QUIET_SECONDS
    return bool(times) and time.time() - times[-1] < quiet


def written(root: Root, folder: str) -> list[float]:
    """When the objects of a set were written, ascending."""
    return sorted([*root.times(folder).values(), *root.times(f"{folder}/x").values()])
