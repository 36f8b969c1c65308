"""Feature sets from files of other people's, and of other stores."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from store import backends
from store.errors import BadFeatures, BadValue, UserError
from store.features import FeatureSet
from store.fingerprint import IMPORTED, Fingerprint
from store.foreign import reading
from store.foreign_table import Table, read_table
from store.formats import PORTION
from store.inventory import find_sets
from store.joining import Part, parts
from store.keys import FeatureKey, check_name, dataset_name, to_folder
from store.listing import adopt
from store.opening import remove_command
from store.root import Root, check_room
from store.runtime import Progress
from store.sample_files import load_samples, samples_folder, save_samples
from store.samples import Samples, Targets
from store.target_files import StoredTargets
from store.target_kinds import warn_of_no_classes
from store.writer import CONTENT_BYTES, DTYPES, FeatureWriter

log = logging.getLogger("store")

Block = Callable[[range], tuple[np.ndarray, dict[int, str]]]
"""Rows of a split -> their features as they are stored, and the bad rows among them."""


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    labels: Path | None = None
    """A file of labels: .npy, or a text file with one a line."""
    ids: str | None = None
    """The column that names the images, or `none` for row numbers."""
    partial: bool = False
    """Leave rows out that are of no image, and take images without a row as bad rows, instead of refusing the file."""
    dtype: str | None = None
    """float16 or float32; by default what holds the file's numbers exactly."""
    skip_bad: bool = False
    """Keep rows that are not finite as bad rows, instead of refusing the file."""
    relabel: bool = False
    """Let the file's targets replace stored ones of the same samples."""
    backend: str = "zarr"


@dataclass(frozen=True)
class _Plan:
    """One split, checked and ready to be written."""

    part: Part
    samples: Samples
    block: Block
    contents: np.ndarray
    fingerprint: Fingerprint


def import_file(
    root: Root, path: Path, dataset: str, backbone: str, split: str | None = None, options: ImportOptions | None = None
) -> list[FeatureSet]:
    """Store the features of a file: a set for each split it has rows of, joined by id to the images of the store.

    `dataset` is a name, `folder:PATH` or `csv:FILE`. The fingerprint is that of the content, so the file is read twice:
    once to check and hash it, once to write. Raises `BadValue`, `BadFeatures` before anything is written.
    """
    options, source = options or ImportOptions(), dataset
    dataset = dataset_name(source)
    check_name("backbone", backbone)
    backends.backend(options.backend)
    table = read_table(path, labels=options.labels, ids=options.ids)
    dtype = pick_dtype(np.dtype(table.features.dtype), options.dtype)
    found = parts(root, source, split, table, partial=options.partial)
    dim = int(np.prod(table.features.shape[1:], dtype=np.int64))
    check_room(root, sum(len(part.rows) for part in found) * dim * np.dtype(dtype).itemsize)
    x, planned = table.features, list[_Plan]()
    if not isinstance(x, np.ndarray) and not all(_together(part.rows) for part in found):
        with reading(path):
            x = np.asarray(x[:])  # HDF5 is slow at single rows
    for part in found:
        samples = _with_targets(root, part, table, relabel=options.relabel)
        block = _blocks(table, x, part, dtype, options)
        planned.append(_Plan(part, samples, block, _contents(root, part, table), _fingerprint(block, part, dtype)))
    _check_once(root, dataset, backbone, planned)
    made = [_write(root, path, backbone, one, dim, options) for one in planned]
    adopt(root, dataset, {part.samples.split: part.samples.id for part in found if not part.stored})
    return made


def _fingerprint(block: Block, part: Part, dtype: str) -> Fingerprint:
    digest = hashlib.sha256()
    for start in range(0, len(part.rows), PORTION):
        digest.update(block(range(start, min(start + PORTION, len(part.rows))))[0].tobytes())
    return Fingerprint(
        weights=digest.hexdigest(),
        architecture=IMPORTED,
        layer="features",
        pooling="none",
        recipe={"source": IMPORTED},
        precision="unknown",
        dtype=dtype,
        samples=part.samples.id,
    )


def _check_once(root: Root, dataset: str, backbone: str, planned: Sequence[_Plan]) -> None:
    """Raise `BadValue` where the features of a new split are another split's; warn of a set of the same name."""
    for found in find_sets(root, dataset=dataset):
        for plan in planned if found.manifest else ():
            split, weights = plan.samples.split, found.manifest.parts["weights"] if found.manifest else ""
            if not plan.part.stored and found.key.split != split and weights == plan.fingerprint.weights:
                raise BadValue(
                    f"these very features are in the store already, as {found.name}: one file is never two splits. "
                    f"If {split} is right, remove those: {remove_command(root, found.name)}"
                )
            same_name = found.key == FeatureKey(dataset, split, backbone) and found.fingerprint != plan.fingerprint.hex
            if same_name and found.manifest and found.manifest.samples == plan.samples.id:
                log.warning(
                    "%s has other features of these images already: commands will ask which is meant, %s or %s@%s; to "
                    "remove the old ones: %s", found.key, found.name.rpartition("/")[2], backbone,
                    plan.fingerprint.hex[:8], remove_command(root, found.name),
                )  # fmt: skip


def _write(root: Root, path: Path, backbone: str, plan: _Plan, dim: int, options: ImportOptions) -> FeatureSet:
    samples = plan.samples
    key = FeatureKey(samples.dataset, samples.split, backbone)
    save_samples(root, samples, relabel=options.relabel)  # another import may have come first since
    samples = load_samples(root, key.dataset, key.split, samples.id)
    writer = FeatureWriter(root, key, plan.fingerprint, samples, dim, backend=options.backend)
    with Progress(len(samples), f"import {key}", "rows") as progress:
        for index in writer.missing():
            rows = writer.rows(index)
            features, bad = plan.block(rows)
            writer.write(index, features, plan.contents[rows.start : rows.stop], bad)
            progress.update(len(rows))
    writer.commit({"command": f"python -m store import {path.name}"})
    return FeatureSet(root, writer.folder)


def _contents(root: Root, part: Part, table: Table) -> np.ndarray:
    """(N, 16) uint8: the images' hashes, of another set of the same samples or of the file; zeros where none has it.

    Raises `BadValue`: the file's are others.
    """
    samples = part.samples
    best = np.zeros((len(samples), CONTENT_BYTES), np.uint8)
    for found in find_sets(root, dataset=samples.dataset, split=samples.split):
        if found.manifest and found.manifest.samples == samples.id and not best.any():
            with suppress(UserError):  # damaged: its own readers say so
                best = FeatureSet(root, found.folder, found.manifest).content_hashes.view(np.uint8).reshape(best.shape)
    if table.contents is None:
        return best
    given = table.contents[part.rows]
    given[part.rows < 0] = 0
    differ = np.flatnonzero((given != best).any(axis=1) & given.any(axis=1) & best.any(axis=1))
    if len(differ):
        raise BadValue(
            f"{table.path}: {len(differ)} of {len(samples)} images of {samples.split} are other pictures than in the "
            f"store, first {samples.ids[int(differ[0])]!r}: their features in this file are of what stood there before"
        )
    return np.where(best.any(axis=1, keepdims=True), best, given)


def _with_targets(root: Root, part: Part, table: Table, *, relabel: bool) -> Samples:
    """The samples with those targets of the file that the store lacks, or is to replace.

    Raises `BadValue`: other targets of the same samples, unless `relabel`.
    """
    samples, changed = part.samples, dict[str, Targets]()
    where = samples_folder(samples.dataset, samples.split, samples.id)
    for name, column in part.targets.items():
        warn_of_no_classes(name, column.classes)
        if root.size(f"{where}/targets/{to_folder(name)}/current") is None:  # new, or left by a killed import
            changed[name] = column
            continue
        theirs = StoredTargets(root, where, len(samples))[name]  # the list itself may be gone, to be written again
        differ = _differing(column, theirs, nameless=name in table.nameless)
        if len(differ) and not relabel:
            row = int(differ[0])
            ours, stored = ((*each.classes, None)[each.index[row]] for each in (column, theirs))
            raise BadValue(
                f"{samples.dataset}/{samples.split} has these samples with another {name!r}, in {len(differ)} rows, "
                f"first {samples.ids[row]!r}: {ours!r}, in the store {stored!r}; are the rows in the same order? "
                "--relabel replaces the stored targets"
            )
        if len(differ):
            changed[name] = column
    return Samples(samples.dataset, samples.split, list(samples.ids), samples.sizes, changed, samples.replaced)


def _differing(ours: Targets, theirs: Targets, *, nameless: bool) -> np.ndarray:
    """Rows with a class in the file and another, or none, in the store; numbers may stand for the store's classes."""
    place = {name: i for i, name in enumerate(theirs.classes)}
    readings = [[place.get(name, -2) for name in ours.classes]]
    if nameless:
        readings.append([int(name) for name in ours.classes])
    found = [np.flatnonzero((ours.index >= 0) & (np.array([*one, -1])[ours.index] != theirs.index)) for one in readings]
    return min(found, key=len)


def _blocks(table: Table, x: Any, part: Part, dtype: str, options: ImportOptions) -> Block:
    rows, together = part.rows, _together(part.rows)

    def block(span: range) -> tuple[np.ndarray, dict[int, str]]:
        at = rows[span.start : span.stop]
        with reading(table.path):
            x_BD = np.asarray(x[at[0] : at[0] + len(at)] if together else x[at]).reshape(len(at), -1)
        stored, bad = _checked(x_BD, at, table.path, dtype, exact=options.dtype is None, skip_bad=options.skip_bad)
        return stored, {span[row]: reason for row, reason in bad.items()}

    return block


def _together(rows: np.ndarray) -> bool:
    return rows[0] >= 0 and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows)))


def pick_dtype(given: np.dtype, asked: str | None) -> str:
    """The dtype that features of a file or a concatenation are kept in. Raises `BadValue`: another was asked for."""
    if asked is not None and asked not in DTYPES:
        raise BadValue(f"--dtype {asked!r}: features are stored as {' or '.join(DTYPES)}")
    return asked or ("float16" if given == np.float16 else "float32")


def _checked(
    x: np.ndarray, at: np.ndarray, path: Path, dtype: str, *, exact: bool, skip_bad: bool
) -> tuple[np.ndarray, dict[int, str]]:
    """Features as they are stored, and which rows of them are bad; `at` are the rows of the file, -1 for none."""
    there, finite = at >= 0, np.isfinite(x).all(axis=1)
    if not (finite | ~there).all() and not skip_bad:
        raise BadFeatures(
            f"{path}, row {at[int(np.argmin(finite | ~there))]}: a feature is not finite (NaN or infinity); mend the "
            "file, or --skip-bad leaves such rows out of every concatenation"
        )
    fine = finite & there
    with np.errstate(over="ignore"):
        stored = x.astype(dtype)
    if not (holds := np.isfinite(stored).all(axis=1) | ~fine).all():
        row = int(np.argmin(holds))
        raise BadFeatures(
            f"{path}, row {at[row]}: a feature of {np.abs(x[row]).max():g} does not fit {dtype}; "
            "--dtype float32 holds it"
        )
    if exact and not (fits := (stored == x).all(axis=1) | ~fine).all():
        raise BadFeatures(
            f"{path}, row {at[int(np.argmin(fits))]}: features of {x.dtype} do not fit {dtype} exactly; "
            f"round them with --dtype {dtype}"
        )
    stored[~fine] = np.nan
    reasons = {True: f"not finite in {path.name}", False: f"no row in {path.name}"}
    return stored, {int(row): reasons[bool(there[row])] for row in np.flatnonzero(~fine)}
