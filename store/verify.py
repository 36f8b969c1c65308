"""Read back what is stored and say what is not as it was written, which rows it costs, and how to repair it."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from store import zarr_blocks
from store.blocks import Blocks, finite_rows
from store.errors import DamagedFeatures, UserError
from store.features import FeatureSet
from store.inventory import COMMITTED, DAMAGED, StoredSet, open_half
from store.keys import to_folder
from store.manifest import Manifest
from store.root import Root
from store.sample_files import load_samples, samples_folder

_THREADS = 4


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was written."""

    name: str
    """The feature set, dataset/split/backbone@fingerprint."""
    what: str
    rows: tuple[int, int] | None = None
    """First and last row that are lost; None where no feature is."""
    keys: tuple[str, ...] = field(default=(), repr=False)
    """What a repair removes."""


def verify_set(root: Root, stored: StoredSet, progress: Callable[[int], None] = lambda _: None) -> list[Finding]:
    """Read every byte of a set, committed or not. `progress` is told the rows of each block."""
    return list(_findings(root, stored, progress))


def _findings(root: Root, stored: StoredSet, progress: Callable[[int], None]) -> Iterator[Finding]:
    commit = (f"{stored.folder}/manifest.json", f"{stored.folder}/checksums")
    known = stored.state == COMMITTED
    if stored.state == DAMAGED and root.size(commit[0]) is not None:
        yield Finding(stored.name, stored.problem, keys=commit)
    if stored.state == COMMITTED:
        part = FeatureSet(root, stored.folder, stored.manifest)
        try:
            _ = part.checksums
        except UserError as error:
            known = False
            yield Finding(stored.name, str(error), keys=commit)
        yield from _sample_findings(root, stored.name, part.manifest)
    try:
        x = part.blocks if stored.state == COMMITTED else open_half(root, stored.folder)
    except FileNotFoundError:
        return
    except UserError as error:
        metadata = (f"{stored.folder}/x/zarr.json", f"{stored.folder}/x/array.json")
        yield Finding(stored.name, str(error), keys=(*commit, *metadata))
        return
    if not known:
        x.committed = None
    bad = {int(row) for row in stored.manifest.bad_rows} if stored.manifest else None
    blocks = range(x.num_blocks) if stored.state == COMMITTED else sorted(x.stored())
    digest, content = hashlib.sha256(), _content(root, stored)

    def check(block: int) -> tuple[str, bytes]:
        what, hashes = _check_block(x, block, bad), b""
        try:
            hashes = content.read_block(block).tobytes() if content else b""
        except UserError as error:
            what = what or _short(content, error)
        progress(len(x.rows(block)))
        return what, hashes

    damaged = False
    with ThreadPoolExecutor(_THREADS) as pool:
        for block, (what, hashes) in zip(blocks, pool.map(check, blocks), strict=True):
            digest.update(hashes)
            if what:
                damaged, rows = True, x.rows(block)
                keys = (*commit, x.key(block), *((content.key(block),) if content else ()))
                yield Finding(stored.name, what, (rows.start, rows.stop - 1), keys)
    if stored.manifest and not damaged and digest.hexdigest() != stored.manifest.content:
        what = "the manifest's hash of the images is not that of the stored image hashes"
        yield Finding(stored.name, what, keys=commit)


def _content(root: Root, stored: StoredSet) -> Blocks | None:
    try:
        return zarr_blocks.open_blocks(root, f"{stored.folder}/content")
    except UserError:
        return None


def _short(blocks: Blocks | None, error: UserError) -> str:
    """What is damaged, without the advice that stands below the table."""
    array = f"{blocks.prefix.rpartition('/')[2]}/" if blocks else ""
    return f"{array}{error.what}" if isinstance(error, DamagedFeatures) else str(error)


def _check_block(x: Blocks, block: int, bad: set[int] | None) -> str:
    rows = x.rows(block)
    try:
        features = x.read_block(block)
    except UserError as error:
        return _short(x, error)
    found = {rows.start + row for row in np.flatnonzero(~finite_rows(features)).tolist()}
    if bad is not None and found != bad & set(rows):
        odd = sorted(found ^ (bad & set(rows)))
        return f"{x.key(block).rpartition('/')[2]}: rows {odd} do not fit the list of bad rows"
    return ""


def _sample_findings(root: Root, name: str, manifest: Manifest) -> Iterator[Finding]:
    below = samples_folder(manifest.dataset, manifest.split, manifest.samples)
    try:
        samples = load_samples(root, manifest.dataset, manifest.split, manifest.samples)
        if len(samples) != manifest.num_samples:
            raise DamagedFeatures(f"{root.url}/{below} has {len(samples)} samples, not {manifest.num_samples}")
        samples.ids.check(whole=True)
    except UserError as error:
        arrays = (f"{below}/{column}/zarr.json" for column in ("ids", "offsets", "sizes"))
        yield Finding(name, str(error), keys=(f"{below}/samples.json", *arrays))
        return
    for column in samples.targets:
        try:
            _ = samples.targets[column]
        except UserError as error:
            yield Finding(name, str(error), keys=(f"{below}/targets/{to_folder(column)}",))


def repair(root: Root, findings: list[Finding]) -> None:
    """Un-commit the sets and remove what is damaged, so that the extract command makes just that again."""
    for finding in findings:
        for key in finding.keys:  # the manifest is first
            root.remove(key)
