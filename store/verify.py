"""Read back what is stored and say what is not as it was written, which rows it costs, and how to repair it."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from store import zarr_blocks
from store.backends import backend
from store.blocks import Blocks, finite_rows
from store.errors import DamagedFeatures, UserError
from store.features import FeatureSet
from store.inventory import DAMAGED, StoredSet, open_half
from store.json_text import parse_json
from store.keys import to_folder
from store.manifest import Manifest
from store.root import Root
from store.sample_files import load_samples, samples_folder
from store.started import read_started

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


def verify_set(
    root: Root, stored: StoredSet, progress: Callable[[int], None] = lambda _: None, lists: set[str] | None = None
) -> list[Finding]:
    """Read every byte of a set, committed or not, and of its samples.

    Args:
        progress: is told the rows of each block.
        lists: folders of samples that were read already; those that are read now are added.
    """
    return list(_findings(root, stored, progress, set() if lists is None else lists))


def _findings(root: Root, stored: StoredSet, progress: Callable[[int], None], lists: set[str]) -> Iterator[Finding]:
    commit = (f"{stored.folder}/manifest.json", f"{stored.folder}/checksums")
    x, found = _open(root, stored, commit)
    yield from found
    if stored.manifest is not None:
        below = samples_folder(stored.key.dataset, stored.key.split, stored.manifest.samples)
        if below not in lists:
            lists.add(below)
            yield from _sample_findings(root, stored.name, stored.manifest, below)
    if x is None:
        return
    yield from _block_findings(root, stored, x, commit, progress)
    for name in sorted(root.list(f"{stored.folder}/bad")):
        yield from _bad_findings(root, stored, x, name, commit)
    if stored.manifest and (what := backend(stored.manifest.backend).wrongly_published(root, stored.folder)):
        yield Finding(stored.name, what, keys=commit)


def _open(root: Root, stored: StoredSet, commit: tuple[str, ...]) -> tuple[Blocks | None, list[Finding]]:
    """The blocks of a set, None where they cannot be read; and what is wrong with what is written about them."""
    found = list[Finding]()

    def wrong(what: object, *keys: str) -> None:
        found.append(Finding(stored.name, str(what), keys=keys))

    try:
        read_started(root, stored.folder)
    except FileNotFoundError:  # nobody needs it once the set is committed
        pass
    except UserError as error:
        wrong(error, f"{stored.folder}/started.json" if stored.manifest else stored.folder)
        if stored.manifest is None:
            return None, found
    if stored.state == DAMAGED and root.size(commit[0]) is not None:
        wrong(stored.problem, *commit)
    try:
        if stored.manifest is None:
            return open_half(root, stored.folder), found
        part = FeatureSet(root, stored.folder, stored.manifest)
        x = part.blocks
        try:
            _ = part.checksums
        except UserError as error:
            x.committed = None
            wrong(error, *commit)
    except FileNotFoundError:
        return None, found
    except UserError as error:
        wrong(error, *commit, f"{stored.folder}/x/zarr.json", f"{stored.folder}/x/array.json")
        return None, found
    return x, found


def _block_findings(
    root: Root, stored: StoredSet, x: Blocks, commit: tuple[str, ...], progress: Callable[[int], None]
) -> Iterator[Finding]:
    bad = {int(row) for row in stored.manifest.bad_rows} if stored.manifest else None
    blocks = range(x.num_blocks) if stored.manifest else sorted(x.stored())
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


def _bad_findings(root: Root, stored: StoredSet, x: Blocks, name: str, commit: tuple[str, ...]) -> Iterator[Finding]:
    """Why images of a block could not be read: JSON, and what the manifest says of the block that is stored."""
    key, (block, checksum) = f"{stored.folder}/bad/{name}", (*name.split("."), "", "")[:2]
    try:
        told = {int(row): str(why) for row, why in parse_json(root.get(key)).items()}
        rows = x.rows(int(block))
        mine = root.size(x.key(int(block))) is not None and x.checksum(int(block)) == checksum
        known = {int(row): why for row, why in stored.manifest.bad_rows.items()} if mine and stored.manifest else told
        if {row: why for row, why in known.items() if row in rows} != told:
            raise ValueError("it is not what the manifest says")  # noqa: TRY301
    except (ValueError, AttributeError, FileNotFoundError, UserError) as error:
        yield Finding(stored.name, f"bad/{name}: {error}", keys=(*commit, key, *_block_keys(x, block)))


def _block_keys(x: Blocks, block: str) -> tuple[str, ...]:
    """The block whose bad rows are no longer told: it is made again."""
    return (x.key(int(block)),) if block.isdecimal() and int(block) < x.num_blocks else ()


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


def _sample_findings(root: Root, name: str, manifest: Manifest, below: str) -> Iterator[Finding]:
    try:
        samples = load_samples(root, manifest.dataset, manifest.split, manifest.samples)
        if len(samples) != manifest.num_samples:
            raise DamagedFeatures(f"{root.url}/{below} has {len(samples)} samples, not {manifest.num_samples}")
        samples.ids.check(whole=True)
    except UserError as error:
        arrays = (f"{below}/{column}/zarr.json" for column in ("ids", "offsets", "sizes"))
        yield Finding(name, str(error), keys=(f"{below}/samples.json", *arrays))
        return
    try:
        columns = list(samples.targets)
    except UserError as error:
        yield Finding(name, str(error), keys=(f"{below}/columns.json",))
        return
    for column in columns:
        try:
            _ = samples.targets[column]
        except UserError as error:
            yield Finding(name, str(error), keys=(f"{below}/columns.json", f"{below}/targets/{to_folder(column)}"))


def repair(root: Root, findings: list[Finding]) -> None:
    """Un-commit the sets and remove what is damaged, so that the extract command makes just that again."""
    for finding in findings:
        for key in finding.keys:  # the manifest is first
            root.remove(key)
