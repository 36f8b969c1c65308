"""Which rows of a file belong to which images of the store: by id, over all splits of a dataset."""

import logging
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from store.errors import BadValue, MissingFeatures
from store.foreign_table import Table
from store.id_forms import matching_forms
from store.inventory import find_sets
from store.keys import check_name, dataset_name
from store.listing import is_retired, read_listing
from store.root import Root, store_flag
from store.sample_files import load_samples
from store.samples import Samples, Targets
from store.source import place

log = logging.getLogger("store")


@dataclass(frozen=True)
class Part:
    """What a file has of one split."""

    samples: Samples
    """Of the store, or new."""
    rows: np.ndarray
    """(N,) int64: the row of the file for each sample; -1 where it has none."""
    targets: Mapping[str, Targets]
    """Of the file, in the order of the samples."""
    stored: bool


def present(root: Root, dataset: str) -> dict[str, Samples]:
    """The samples that each split with features has today: those of the dataset's listing, else the newest."""
    listing, newest = read_listing(root, dataset), dict[str, tuple[bool, str, str]]()
    for found in find_sets(root, dataset=dataset):
        if found.manifest and not is_retired(listing, found.key.split):
            samples = found.manifest.samples
            listed = listing is not None and listing.splits[found.key.split] == samples
            created = str(found.manifest.provenance.get("created", ""))
            newest[found.key.split] = max(newest.get(found.key.split, (False, "", "")), (listed, created, samples))
    lists: dict[str, Samples] = {}
    for split, (_, _, samples_id) in newest.items():
        with suppress(MissingFeatures):  # it was damaged, and taken away to be written again
            lists[split] = load_samples(root, dataset, split, samples_id)
    return lists


def parts(root: Root, source: str, split: str | None, table: Table, *, partial: bool = False) -> list[Part]:
    """The rows of a file, by split: those of the store's samples, in their order; else as the file or `split` says.

    Raises `BadValue`: rows that are of no image, or images without a row, unless `partial`; ids that occur twice; no
    way to tell the split.
    """
    dataset = dataset_name(source)
    stored, own = present(root, dataset), _own_splits(table)
    asked = {split: stored[split]} if split in stored else stored if split is None else {}
    if asked and table.numbered and not _are_numbers(asked, own, table):
        raise BadValue(
            f"{table.path} has no ids, and {dataset} has images of its own in {', '.join(asked)}: save their ids as an "
            "array `ids`, name their column by --ids, or give another --dataset"
        )
    if asked:  # splits of an imported dataset that are still to come; what was extracted has those that it has
        listing = read_listing(root, dataset)
        to_come = own.keys() - stored.keys() if split is None and listing is None else set[str]()
        fresh = {name: rows for name, rows in own.items() if name in to_come}
        folders = listing.folders if listing else {}
        joined = _joined(dataset, asked, stored, table, partial, fresh, folders)
        return [*joined, *_new(dataset, fresh, stored, table)]
    if not stored and place(source):
        unknown = (
            f"the store does not know the images of {source} yet: python -m extract --backbone pixels --dataset "
            f"{shlex.quote(source)}{store_flag(root)} tells it"
        )
        if not own and split is None:
            raise BadValue(f"{unknown}, and the rows go to their splits; or --split, where all rows are of one")
        log.warning("%s; now all rows are taken as %s", unknown, split or "the file's column `split` says")
    return _new(dataset, _asked_rows(dataset, split, own, table), stored, table)


def _own_splits(table: Table) -> dict[str, np.ndarray]:
    """Split -> rows, as the file says; nothing where it does not."""
    names = [] if table.splits is None else sorted(set(table.splits.tolist()))
    return {check_name("split", name): np.flatnonzero(table.splits == name) for name in names}


def _are_numbers(asked: Mapping[str, Samples], own: Mapping[str, np.ndarray], table: Table) -> bool:
    """Whether the samples that are asked for have no names either, but the numbers of these very rows."""
    every = np.arange(len(table))
    rows = {split: own.get(split, every[:0]) if own else every for split in asked}
    same = all(list(samples.ids) == [table.ids[int(row)] for row in rows[split]] for split, samples in asked.items())
    return same and bool(own or len(asked) == 1)


def _asked_rows(dataset: str, split: str | None, own: dict[str, np.ndarray], table: Table) -> dict[str, np.ndarray]:
    if own and split is not None and split not in own:
        raise BadValue(f"{table.path}: its column `split` says {_first(list(own))}: no row is of {split!r}")
    if own:
        return {name: rows for name, rows in own.items() if split in (None, name)}
    if split is None:
        raise BadValue(
            f"the store has no samples of {dataset}, and {table.path.name} no array `split`: name the split of these "
            "rows, --split train"
        )
    return {split: np.arange(len(table))}


def _places(table: Table) -> Mapping[tuple[str, str], int]:
    """(split, id) -> row; the split is "" where ids alone tell rows apart."""
    alone = {("", name): row for row, name in enumerate(table.ids)}
    if len(alone) == len(table) or table.splits is None:
        return alone
    return {(str(split), name): row for row, (split, name) in enumerate(zip(table.splits, table.ids, strict=True))}


def _joined(
    dataset: str, asked: Mapping[str, Samples], stored: Mapping[str, Samples], table: Table, partial: bool,
    fresh: Mapping[str, np.ndarray], folders: Mapping[str, str],
) -> list[Part]:  # fmt: skip
    """The rows of each split that is asked for. Rows of another stored split are left out, and told."""
    ids, names = matching_forms(table.ids, stored, folders)
    places = {(split, ids[row]): row for (split, _), row in _places(table).items()}
    by_split = ("", ids[0]) not in places
    found, used = list[Part](), np.zeros(len(table), np.int64)
    for split, samples in stored.items():
        key = split if by_split else ""
        rows = np.array([places.get((key, name), -1) for name in names[split]], np.int64)
        used[rows[rows >= 0]] += 1
        if split in asked and (rows >= 0).any():
            targets = {name: _take(column, rows) for name, column in table.targets.items()}
            found.append(Part(samples, rows, targets, stored=True))
        elif split in asked and not partial:
            found.append(Part(samples, rows, {}, stored=True))
    if len(asked) > 1 and used.max() > 1:
        raise BadValue(
            f"{table.path}: {ids[int(used.argmax())]!r} is an id of several splits of {dataset}: --split says which "
            "this file is of, or save ids with the folder of the split before them"
        )
    surplus = np.setdiff1d(np.flatnonzero(used == 0), np.concatenate([np.arange(0), *fresh.values()]))
    _refuse(dataset, found, table, surplus, partial, list(fresh))
    for part in found:
        _check_sizes(part, table)
    taken = np.unique(np.concatenate([part.rows for part in found]))
    elsewhere = int((used > 0).sum()) - int((taken >= 0).sum())
    if elsewhere:
        log.info("%d rows are of other splits of %s; without --split they are taken too", elsewhere, dataset)
    return found


def _take(column: Targets, rows: np.ndarray) -> Targets:
    index = column.index[rows]
    index[rows < 0] = -1
    return Targets(column.column, column.classes, index)


def _refuse(
    dataset: str, found: Sequence[Part], table: Table, surplus: np.ndarray, partial: bool, fresh: list[str]
) -> None:
    lacking = {part.samples.split: np.flatnonzero(part.rows < 0) for part in found}
    texts = []
    if len(surplus):
        names = _first([table.ids[row] for row in surplus[:4]])
        texts.append(f"{len(surplus)} of {len(table)} rows are of no image of {dataset}: {names}")
    for part in found:
        if len(rows := lacking[part.samples.split]):
            names = _first([part.samples.ids[int(row)] for row in rows[:4]])
            texts.append(f"{len(rows)} of {len(part.rows)} images of {part.samples.split} have no row: {names}")
    if not found or (len(surplus) == len(table)) or (texts and not partial):
        whole = [part.samples.split for part in found if not len(lacking[part.samples.split])] + fresh
        only = f"; --split {whole[0]} imports that split alone" if whole and not len(surplus) else ""
        some = "; --partial takes what matches" if len(surplus) < len(table) else ""
        raise BadValue(f"{table.path}: {'; '.join(texts)}{only}{some}{_other_ids(table)}")
    if texts:
        log.warning("%s: %s: left out", table.path.name, "; ".join(texts))


def _first(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")


def _other_ids(table: Table) -> str:
    return f"; if another column has the ids: --ids {' or '.join(table.others[:3])}" if table.others else ""


def _check_sizes(part: Part, table: Table) -> None:
    if table.sizes is None:
        return
    ours, theirs = table.sizes[part.rows], part.samples.sizes
    differ = np.flatnonzero((part.rows >= 0) & (ours != theirs) & (ours > 0) & (theirs > 0))
    if len(differ):
        row = int(differ[0])
        raise BadValue(
            f"{table.path}: {len(differ)} images of {part.samples.split} have other file sizes than in the store, "
            f"first {part.samples.ids[row]!r} with {ours[row]} bytes against {theirs[row]}: are these features of the "
            "same files? Without the array `sizes` they are taken by their ids alone"
        )


def _new(dataset: str, chosen: Mapping[str, np.ndarray], stored: Mapping[str, Samples], table: Table) -> list[Part]:
    """Splits that the store does not have yet."""
    found = []
    for name, rows in chosen.items():
        ids = [table.ids[int(row)] for row in rows]
        _check_apart(dataset, name, stored, table, ids)
        sizes = np.zeros(len(rows), np.int64) if table.sizes is None else table.sizes[rows]
        targets = {column: values.take(rows) for column, values in table.targets.items()}
        found.append(Part(Samples(dataset, name, ids, sizes), rows, targets, stored=False))
    return found


def _check_apart(dataset: str, new: str, stored: Mapping[str, Samples], table: Table, ids: Sequence[str]) -> None:
    """Ids that name images of another split already. Mere numbers begin anew in every split."""
    if all(name.isdecimal() for name in ids):
        return
    for split, samples in stored.items():
        both = set(samples.ids).intersection(ids)
        if both:
            raise BadValue(
                f"{table.path}: {len(both)} of {len(ids)} rows are images of {dataset}/{split}, first {min(both)!r}, "
                f"not of {new}: without --split each split gets its own"
            )
