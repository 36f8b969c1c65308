"""What a dataset is now: its splits and the samples of each, as `extract` last saw them.

A store keeps features of every split and every list of samples that there ever was. This one object a dataset,
`datasets/<dataset>.json`, says which of them are of today. A dataset without one (imported, or extracted by an earlier
version) has every split that is stored.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from store.errors import FormatError, NewerFormat
from store.fingerprint import sha256_json
from store.habits import SPLITS
from store.json_text import parse_json
from store.keys import dataset_name, from_folder, is_hash, to_folder
from store.root import Root

FORMAT = 1


@dataclass(frozen=True)
class Listing:
    """The splits of a dataset, at one moment."""

    dataset: str
    source: str
    """`folder:PATH`, `csv:FILE`, or the dataset's name."""
    digest: str
    """Of the source (`store/source.py`); empty for a dataset of the table."""
    splits: Mapping[str, str]
    """Every split that the dataset has -> the samples id that it has now; empty where `extract` did not look."""
    folders: Mapping[str, str] = field(default_factory=dict)
    """Split -> where its sample ids begin, below the list's or the source's own folder; only of files."""
    created: str = ""
    columns: Sequence[str] = ()
    """The target columns of a list or folder: what it has no more is taken out of the store; imported ones stay."""
    format: int = FORMAT


def listing_key(dataset: str) -> str:
    return f"datasets/{to_folder(dataset)}.json"


def read_listing(root: Root, dataset: str) -> Listing | None:
    """The listing of a dataset, by its name in the store; None: there is none. Raises `FormatError`: it is damaged."""
    where = f"{root.url}/{listing_key(dataset)}"
    try:
        text = root.get(listing_key(dataset))
    except FileNotFoundError:
        return None
    try:
        values = parse_json(text)
        claimed = values.pop("sha256")
        if values["format"] > FORMAT:
            raise NewerFormat(f"{where} has format {values['format']}, this version reads up to {FORMAT}")
        listing = Listing(**{**values, "columns": tuple(values.get("columns", ()))})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, NewerFormat):
            raise
        raise FormatError(_damaged(where, dataset)) from error
    if claimed != sha256_json(values) or listing.dataset != dataset or not _is_sound(listing):
        raise FormatError(_damaged(where, dataset))
    return listing


def _is_sound(listing: Listing) -> bool:
    """Whether every samples id is one, and no folder leads out of the source."""
    if not isinstance(listing.splits, dict) or not isinstance(listing.folders, dict):
        return False
    below = [PurePosixPath(str(folder)) for folder in listing.folders.values()]
    ids = [str(one) for one in listing.splits.values()]
    return all(not one or is_hash(one) for one in ids) and not any(p.is_absolute() or ".." in p.parts for p in below)


def _damaged(where: str, dataset: str) -> str:
    return (
        f"{where} is damaged, so the present splits of {dataset} are not known: remove that file, and have it written "
        "again by `python -m extract --relabel --dataset ...`, as the dataset was named when it was extracted"
    )


def write_listing(root: Root, listing: Listing) -> None:
    values = {
        "format": FORMAT,
        "dataset": listing.dataset,
        "source": listing.source,
        "digest": listing.digest,
        "splits": dict(listing.splits),
        "folders": dict(listing.folders),
        "columns": list(listing.columns),
        "created": listing.created,
    }
    root.put(listing_key(listing.dataset), json.dumps({**values, "sha256": sha256_json(values)}, indent=1).encode())


def adopt(root: Root, dataset: str, splits: Mapping[str, str]) -> None:
    """Add splits with samples of their own to a dataset that has a listing; no listing is begun for them."""
    listing = read_listing(root, dataset)
    if listing and splits:
        write_listing(root, replace(listing, splits={**listing.splits, **splits}))


def stored_splits(root: Root, dataset: str) -> list[str]:
    """The splits of a dataset that have features and that it has today, the usual ones first.

    `dataset` is a name, `folder:PATH` or `csv:FILE`.
    """
    name = dataset_name(dataset)
    listing = read_listing(root, name)
    below = root.list(f"features/{to_folder(name)}")
    stored = sorted(from_folder(split) for split, size in below.items() if size is None)
    present = [split for split in stored if listing is None or split in listing.splits]
    return [split for split in SPLITS if split in present] + [split for split in present if split not in SPLITS]


def is_retired(listing: Listing | None, split: str) -> bool:
    """Whether the dataset has no such split any more, whatever features of it are stored."""
    return listing is not None and split not in listing.splits
