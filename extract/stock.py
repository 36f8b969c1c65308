"""What a dataset is today, for the store: its splits, their samples, and which pictures were replaced since."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from extract.datasets import find_dataset, open_dataset, splits_of, warn_once
from extract.datasets.common import Images
from store import zarr_blocks
from store.errors import FormatError, UserError
from store.features import FeatureSet, backbones, candidates
from store.fingerprint import sha256_json
from store.inventory import folders
from store.json_text import parse_json
from store.keys import FeatureKey, dataset_name
from store.listing import Listing, read_listing, write_listing
from store.root import Root
from store.sample_files import samples_folder, save_samples
from store.samples import Samples
from store.source import digest, file_hash, file_times, known_times, note_times, place
from store.target_files import forget_columns
from store.writer import CONTENT_BYTES


@dataclass(frozen=True)
class Relabelled:
    """What `extract --relabel` found of one split; a row of the table that it prints."""

    dataset: str
    split: str
    num_samples: int
    state: str


def as_stored(root: Root, images: Images) -> Images:
    """The same images, of another samples id where a file holds another picture than what is stored under its name.

    Only files are read that changed since their features were made. Nothing is written.
    """
    samples, top = images.samples, images.top
    if top is None:
        return images
    times_N, known_N = file_times(top, samples), known_times(root, samples)
    images = replace(images, times=times_N)
    if known_N is not None and np.array_equal(times_N, known_N):
        return images
    seen = list(_seen(root, samples))
    new_N = np.zeros(len(samples), bool)
    for created, _ in seen:
        new_N |= times_N > created * 1e9 if known_N is None else times_N != known_N
    changed: list[list[str]] = []
    for row in np.flatnonzero(new_N).tolist():
        found = file_hash(top, samples.ids[row])
        if any(found and any(of_row := hashes[row].tobytes()) and of_row != found for _, hashes in seen):
            changed.append([samples.ids[row], found.hex()])
    if not changed:
        return images
    images = replace(images, samples=replace(samples, replaced=sha256_json(changed)), changed=len(changed))
    if not _is_stored(root, images.samples):
        warn_once(
            f"{samples.dataset}/{samples.split}: {len(changed)} of {len(samples)} files hold other pictures than their "
            f"features were made from, first {changed[0][0]}"
        )
    return images


def _is_stored(root: Root, samples: Samples) -> bool:
    return root.size(f"{samples_folder(samples.dataset, samples.split, samples.id)}/samples.json") is not None


def _seen(root: Root, samples: Samples) -> Iterator[tuple[float, np.ndarray]]:
    """What the sets of these samples saw: when it was (seconds since 1970), (N, 16) uint8 content hashes, 0: none."""
    told = set[str]()
    for backbone in backbones(root, samples.dataset, samples.split):
        key = FeatureKey(samples.dataset, samples.split, backbone)
        try:
            committed = candidates(root, key)
        except UserError:  # a damaged manifest: whoever opens it is told
            continue
        for fingerprint, manifest in committed.items():
            if manifest.samples == samples.id and manifest.content not in told:
                told.add(manifest.content)
                features = FeatureSet(root, f"{key.folder}/{fingerprint}", manifest)
                yield (
                    manifest.made_at,
                    features.content_hashes.view(np.uint8).reshape(len(samples), -1),
                )
        for fingerprint in folders(root, key.folder):
            if fingerprint not in committed:
                yield from _half_seen(root, f"{key.folder}/{fingerprint}", samples)


def _half_seen(root: Root, folder: str, samples: Samples) -> Iterator[tuple[float, np.ndarray]]:
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError, UserError):  # what cannot be read is made anew
        if parse_json(root.get(f"{folder}/started.json"))["parts"]["samples"] != samples.id:
            return
        content = zarr_blocks.open_blocks(root, f"{folder}/content")
        hashes = np.zeros((len(samples), CONTENT_BYTES), np.uint8)
        for block in content.stored():
            rows = content.rows(block)
            hashes[rows.start : rows.stop] = content.read_block(block)
        yield 0.0, hashes


def take_labels(root: Root, samples: Samples, gone: Collection[str] = ()) -> bool:
    """Make these targets those of the stored samples, without columns that are gone; False: they are not stored."""
    if stored := _is_stored(root, samples):
        forget_columns(root, samples_folder(samples.dataset, samples.split, samples.id), gone)
        save_samples(root, samples)
    return stored


def _with(listing: Listing, images: Images) -> Listing:
    """The listing, with what a split has now."""
    split, path, folders = images.samples.split, place(listing.source), dict(listing.folders)
    if path and images.top:
        folders[split] = images.top.relative_to(path if path.is_dir() else path.parent).as_posix()
    splits, columns = {**listing.splits, split: images.samples.id}, tuple(images.samples.targets) if path else ()
    return replace(listing, splits=splits, folders=folders, columns=columns)


class Stock:
    """The listings of the datasets of one run, kept up to date in the store."""

    def __init__(self, root: Root, sources: Sequence[str], data_root: str) -> None:
        self._root, self._data_root = root, data_root
        self._sources = {dataset_name(source): source for source in sources}
        self._listings: dict[str, Listing] = {}

    def note(self, images: Images) -> None:
        """These images are what their split has now: write the listing, and the times of the files."""
        samples = images.samples
        listing = self._listings.get(samples.dataset) or self._begin(samples.dataset)
        listing = _with(listing, images)
        self._listings[samples.dataset] = listing
        self._write(listing)
        if images.times is not None:
            known_N = known_times(self._root, samples)
            if known_N is None or not np.array_equal(images.times, known_N):
                note_times(self._root, samples, images.times)

    def _begin(self, dataset: str) -> Listing:
        source, old = self._sources[dataset], None
        with suppress(FormatError):  # a damaged one is written anew
            old = read_listing(self._root, dataset)
        spec, _ = find_dataset(source, self._data_root)
        found = digest(source)  # before it is read: what changes meanwhile is another digest
        known = old.splits if old and spec.splits else {}
        names = (*splits_of(source, self._data_root), *spec.parts)
        listing = Listing(dataset, source, found, {split: known.get(split, "") for split in names})
        for split in () if spec.splits else names:
            with suppress(UserError):  # one that is asked for says so when it is opened
                images = as_stored(self._root, open_dataset(source, split, self._data_root, allow_absent=True))
                take_labels(
                    self._root, images.samples, gone=set(old.columns if old else ()) - {*images.samples.targets}
                )
                listing = _with(listing, images)
        return listing

    def _write(self, listing: Listing) -> None:
        old = None
        with suppress(FormatError):
            old = read_listing(self._root, listing.dataset)
        if old is None or replace(listing, created=old.created) != old:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            write_listing(self._root, replace(listing, created=now))


def relabel(root: Root, sources: Sequence[str], data_root: str) -> list[Relabelled]:
    """Read datasets anew, without a network: which splits, samples and labels they have now.

    Features stay as they are; where samples are new, the commands that read them say which are to be extracted.
    """
    stock, rows = Stock(root, sources, data_root), []
    for source in sources:
        for split in splits_of(source, data_root):
            images = as_stored(root, open_dataset(source, split, data_root, allow_absent=True))
            samples = images.samples
            stored = take_labels(root, samples)
            stock.note(images)
            state = "labels as they are now" if stored else "these samples have no features yet: extract them"
            rows.append(Relabelled(samples.dataset, split, len(samples), state))
    return rows
