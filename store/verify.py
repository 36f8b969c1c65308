"""Read back what is stored and say what is not as it was written, which rows it costs, and how to repair it."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from store import zarr_blocks
from store.blocks import Blocks, finite_rows
from store.columns import load_column
from store.errors import DamagedFeatures, UserError
from store.features import FeatureSet
from store.inventory import COMMITTED, DAMAGED, StoredSet, open_half
from store.keys import to_folder
from store.manifest import Manifest
from store.root import Root
from store.sample_files import load_samples, samples_folder
from store.samples import Samples

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
    checksums: list[str] | None = None
    if stored.state == DAMAGED and root.size(commit[0]) is not None:
        yield Finding(stored.name, stored.problem, keys=commit)
    if stored.state == COMMITTED:
        part = FeatureSet(root, stored.folder)
        for what in _lies(root, stored, part.manifest):
            yield Finding(stored.name, what, keys=commit)
        try:
            checksums = _checksums(part)
        except UserError as error:
            yield Finding(stored.name, str(error), keys=commit)
        yield from _sample_findings(root, stored.name, part.manifest)
    try:
        x = FeatureSet(root, stored.folder).blocks if stored.state == COMMITTED else open_half(root, stored.folder)
    except FileNotFoundError:
        return
    except UserError as error:
        metadata = (f"{stored.folder}/x/zarr.json", f"{stored.folder}/x/array.json")
        yield Finding(stored.name, str(error), keys=(*commit, *metadata))
        return
    bad = {int(row) for row in stored.manifest.bad_rows} if stored.manifest else None
    blocks = range(x.num_blocks) if stored.state == COMMITTED else sorted(x.stored())
    digest, content = hashlib.sha256(), _content(root, stored)

    def check(block: int) -> tuple[str, bytes]:
        what, hashes = _check_block(x, block, checksums, bad), b""
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


def _lies(root: Root, stored: StoredSet, manifest: Manifest) -> Iterator[str]:
    where = f"{root.url}/{stored.folder}/manifest.json"
    if (manifest.key, manifest.fingerprint) != (stored.key, stored.fingerprint):
        yield f"{where} belongs to {manifest.key}@{manifest.fingerprint[:8]}"
    if manifest.parts.get("samples") != manifest.samples:
        yield f"{where}: samples {manifest.samples[:8]} are not those of the fingerprint"


def _checksums(part: FeatureSet) -> list[str]:
    column = load_column(part.root, f"{part.folder}/checksums")
    if hashlib.sha256(column.tobytes()).hexdigest() != part.manifest.checksums:
        raise UserError(f"{part.root.url}/{part.folder}/checksums are not those of the manifest")
    return [f"{value:08x}" for value in column.tolist()]


def _content(root: Root, stored: StoredSet) -> Blocks | None:
    try:
        return zarr_blocks.open_blocks(root, f"{stored.folder}/content")
    except UserError:
        return None


def _short(blocks: Blocks | None, error: UserError) -> str:
    """What is damaged, without the advice that stands below the table."""
    array = f"{blocks.prefix.rpartition('/')[2]}/" if blocks else ""
    return f"{array}{error.what}" if isinstance(error, DamagedFeatures) else str(error)


def _check_block(x: Blocks, block: int, checksums: list[str] | None, bad: set[int] | None) -> str:
    rows = x.rows(block)
    try:
        features = x.read_block(block)
        if checksums is not None and x.checksum(block) != checksums[block]:
            return f"{x.key(block).rpartition('/')[2]} is not the block that was committed"
    except UserError as error:
        return _short(x, error)
    found = {rows.start + row for row in np.flatnonzero(~finite_rows(features)).tolist()}
    if bad is not None and found != bad & set(rows):
        odd = sorted(found ^ (bad & set(rows)))
        return f"{x.key(block).rpartition('/')[2]}: rows {odd} do not fit the list of bad rows"
    return ""


def _sample_findings(root: Root, name: str, manifest: Manifest) -> Iterator[Finding]:
    below = samples_folder(manifest.dataset, manifest.split, manifest.samples)
    header = (f"{below}/samples.json",)
    try:
        samples = load_samples(root, manifest.dataset, manifest.split, manifest.samples)
        again = Samples(samples.dataset, samples.split, samples.ids, samples.sizes, replaced=samples.replaced)
        if len(samples) != manifest.num_samples or again.id != manifest.samples:
            yield Finding(name, f"{root.url}/{below} lists other samples than its name says", keys=header)
    except (UserError, UnicodeDecodeError) as error:
        arrays = tuple(f"{below}/{column}/zarr.json" for column in ("ids", "offsets", "sizes"))
        yield Finding(name, str(error), keys=header + arrays)
        return
    for column in samples.targets:
        what = _wrong_target(root, samples, column, below)
        if what:
            yield Finding(name, what, keys=(f"{below}/targets/{to_folder(column)}",))


def _wrong_target(root: Root, samples: Samples, column: str, below: str) -> str:
    where = f"{below}/targets/{to_folder(column)}"
    try:
        target = samples.targets[column]
        if len(target.index) == len(samples) and target.hash == root.get(f"{where}/current").decode():
            return ""
    except UserError as error:
        return str(error)
    return f"{root.url}/{where} is not what its hash says"


def repair(root: Root, findings: list[Finding]) -> None:
    """Un-commit the sets and remove what is damaged, so that the extract command makes just that again."""
    for finding in findings:
        for key in finding.keys:  # the manifest is first
            root.remove(key)
