"""Feature sets from files, and files from concatenations."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from store.concat import open_features
from store.errors import BadFeatures, BadValue, UserError
from store.features import FeatureSet
from store.fingerprint import IMPORTED, Fingerprint
from store.formats import PORTION, READERS, Arrays, array_name, column_of, names_name, read_arrays, write_arrays
from store.keys import FeatureKey, to_folder
from store.root import Root
from store.runtime import Progress
from store.sample_files import load_samples, samples_folder, save_samples
from store.samples import Samples, Targets
from store.writer import CONTENT_BYTES, DTYPES, FeatureWriter

log = logging.getLogger("store")


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    labels: Path | None = None
    """A file of labels: .npy, or a text file with one a line."""
    dtype: str | None = None
    """float16 or float32; by default what holds the file's numbers exactly."""
    skip_bad: bool = False
    """Keep rows that are not finite as bad rows, instead of refusing the file."""
    relabel: bool = False
    """Let the file's targets replace stored ones of the same samples."""
    backend: str = "zarr"


def import_file(root: Root, path: Path, key: FeatureKey, options: ImportOptions) -> FeatureSet:
    """Store the features of a file as a feature set, whose fingerprint is that of its content.

    Raises `BadValue`, `BadFeatures`: store/formats.py says what a file may hold.
    """
    arrays = read_arrays(path)
    if options.labels:
        arrays["labels"] = _read_labels(options.labels)
    _check_rows(path, arrays)
    arrays = _in_stored_order(root, key, arrays)
    x, dim = arrays["features"], int(np.prod(arrays["features"].shape[1:], dtype=np.int64))
    if len(x.shape) < 2 or not dim or np.dtype(x.dtype).kind not in "fiub":
        raise BadValue(f"{path}: features are {x.shape} of {x.dtype}; needed are numbers, (N, D)")
    samples = _samples(root, key, arrays)
    dtype = _pick_dtype(np.dtype(x.dtype), options.dtype)
    exact = options.dtype is None

    def block(rows: range) -> tuple[np.ndarray, dict[int, str]]:
        return _checked(x[rows.start : rows.stop], rows, path, dtype, exact=exact, skip_bad=options.skip_bad)

    spans = [range(start, min(start + PORTION, len(samples))) for start in range(0, len(samples), PORTION)]
    digest = hashlib.sha256()
    for rows in spans:
        digest.update(block(rows)[0].tobytes())
    fingerprint = Fingerprint(
        weights=digest.hexdigest(),
        architecture=IMPORTED,
        layer="features",
        pooling="none",
        recipe={"source": IMPORTED},
        precision="unknown",
        dtype=dtype,
        samples=samples.id,
    )
    if not options.relabel:
        _check_targets(root, samples)
    save_samples(root, samples, relabel=options.relabel)  # another import may have come first since
    samples = load_samples(root, key.dataset, key.split, samples.id)
    writer = FeatureWriter(root, key, fingerprint, samples, dim, backend=options.backend)
    with Progress(len(samples), f"import {key}", "rows") as progress:
        for index in writer.missing():
            rows = writer.rows(index)
            features, bad = block(rows)
            writer.write(index, features, np.zeros((len(rows), CONTENT_BYTES), np.uint8), bad)
            progress.update(len(rows))
    writer.commit({"command": f"python -m store import {path.name}"})
    return FeatureSet(root, writer.folder)


def _pick_dtype(given: np.dtype, asked: str | None) -> str:
    if asked and asked not in DTYPES:
        raise BadValue(f"--dtype {asked}: features are stored as {' or '.join(DTYPES)}")
    return asked or ("float16" if given == np.float16 else "float32")


def _checked(
    x: np.ndarray, rows: range, path: Path, dtype: str, *, exact: bool, skip_bad: bool
) -> tuple[np.ndarray, dict[int, str]]:
    x = np.asarray(x).reshape(len(rows), -1)
    finite = np.isfinite(x).all(axis=1)
    if not finite.all() and not skip_bad:
        raise BadFeatures(
            f"{path}, row {rows[int(np.argmin(finite))]}: a feature is not finite (NaN or infinity); mend the file, "
            "or --skip-bad leaves such rows out of every concatenation"
        )
    with np.errstate(over="ignore"):
        stored = x.astype(dtype)
    if not (holds := np.isfinite(stored).all(axis=1) | ~finite).all():
        row = int(np.argmin(holds))
        raise BadFeatures(
            f"{path}, row {rows[row]}: a feature of {np.abs(x[row]).max():g} does not fit {dtype}; "
            "--dtype float32 holds it"
        )
    if exact and not (fits := (stored == x).all(axis=1) | ~finite).all():
        raise BadFeatures(
            f"{path}, row {rows[int(np.argmin(fits))]}: features of {x.dtype} do not fit {dtype} exactly; "
            f"round them with --dtype {dtype}"
        )
    return stored, {rows[int(row)]: f"not finite in {path.name}" for row in np.flatnonzero(~finite)}


def _read_labels(path: Path) -> np.ndarray:
    if not path.is_file():
        raise BadValue(f"--labels {path} is not a file")
    if path.suffix.lower() != ".npy":
        return np.array(path.read_text(encoding="utf-8").splitlines(), str)
    try:
        labels: np.ndarray = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise BadValue(f"--labels {path} cannot be read as .npy: {error}") from error
    return labels


def _check_rows(path: Path, arrays: Arrays) -> None:
    count = len(arrays["features"]) if arrays["features"].shape else 0
    if not count:
        raise BadValue(f"{path} has no rows")
    for name, array in arrays.items():
        if name != "features" and (column_of(name) or name in ("ids", "sizes")) and array.shape != (count,):
            raise BadValue(f"{path}: {name} has the shape {array.shape}, but there are {count} rows of features")


def _samples(root: Root, key: FeatureKey, arrays: Arrays) -> Samples:
    count = arrays["features"].shape[0]
    targets = {column: _targets(column, arrays) for name in arrays if (column := column_of(name))}
    if "ids" not in arrays:
        ids = [f"{row:0{len(str(count - 1))}d}" for row in range(count)]
    else:
        ids = [str(name) for name in arrays["ids"].tolist()]
    sizes = arrays.get("sizes")
    if sizes is None:
        sizes = _stored_sizes(root, key, ids)
    return Samples(key.dataset, key.split, ids, sizes, targets)


def _targets(column: str, arrays: Arrays) -> Targets:
    values = arrays[array_name(column)]
    if values.dtype.kind in "SUO":
        return Targets.from_names(column, [v.decode() if isinstance(v, bytes) else str(v) for v in values.tolist()])
    index = values.astype(np.int32)
    if not np.array_equal(index, values):
        raise BadValue(f"target column {column!r}: its values are neither text nor whole numbers")
    names = arrays.get(names_name(column))
    if names is None:
        names = np.arange(int(index.max()) + 1)
    return Targets(column, tuple(str(name) for name in names.tolist()), index)


def _stored(root: Root, key: FeatureKey) -> Iterator[Samples]:
    """The lists of samples of this split, the latest last."""
    below = samples_folder(key.dataset, key.split, "").rstrip("/")
    times = {name: root.times(f"{below}/{name}").get("samples.json") for name in root.list(below)}
    for name, _ in sorted((item for item in times.items() if item[1]), key=lambda item: item[1] or 0):
        yield load_samples(root, key.dataset, key.split, name)


def _in_stored_order(root: Root, key: FeatureKey, arrays: Arrays) -> Arrays:
    """Where the store has the same ids in another order, all of the file in that order, in memory: so it joins."""
    place = {str(name): row for row, name in enumerate(arrays.get("ids", np.empty(0)).tolist())}
    order = np.arange(len(place))
    for listed in _stored(root, key):
        ids = list(listed.ids)
        if len(ids) == len(place) == len(arrays["ids"]) and place.keys() == set(ids):
            order = np.array([place[name] for name in ids])
    if np.array_equal(order, np.arange(len(order))):
        return arrays
    log.info("the rows are put into the order of the samples in the store, by their ids")
    rows = [name for name in arrays if name in ("features", "ids", "sizes") or column_of(name)]
    return {**arrays, **{name: np.asarray(arrays[name][:])[order] for name in rows}}


def _stored_sizes(root: Root, key: FeatureKey, ids: list[str]) -> np.ndarray:
    """The file sizes of the same samples in the store, so that imported features join extracted ones; else zeros."""
    sizes = np.zeros(len(ids), np.int64)
    for listed in _stored(root, key):
        if len(listed) == len(ids) and list(listed.ids) == ids:
            sizes = listed.sizes
    return sizes


def _check_targets(root: Root, samples: Samples) -> None:
    try:
        stored = load_samples(root, samples.dataset, samples.split, samples.id)
    except UserError:
        return
    below = f"{samples_folder(samples.dataset, samples.split, samples.id)}/targets"
    for name, column in samples.targets.items():
        if root.size(f"{below}/{to_folder(name)}/current") is None:
            continue  # new, or a killed import's, which this one finishes
        if stored.targets[name].hash != column.hash:
            theirs = stored.targets[name]
            differ = [theirs.classes[a] != column.classes[b] for a, b in zip(theirs.index, column.index, strict=True)]
            where = f"first at row {differ.index(True)}" if any(differ) else "in their class names"
            raise BadValue(
                f"{samples.dataset}/{samples.split} has these samples with another {name!r}, {where}: are the rows "
                "in the same order? --relabel replaces the stored targets"
            )


def export_file(
    root: Root, path: Path, dataset: str, split: str, names: str, *, dtype: str | None = None, overwrite: bool = False
) -> tuple[int, int]:
    """Write the concatenation `names` with its samples and targets to a file; returns its shape.

    The dtype is that of the parts where they agree, else float32.
    """
    if path.exists() and not overwrite:
        raise BadValue(f"{path} is there already: --overwrite replaces it")
    if path.suffix.lower() not in READERS:
        raise BadValue(f"{path}: the format is told by the suffix, one of {', '.join(READERS)}")
    x = open_features(root, dataset, split, names)
    kinds = {part.manifest.dtype for part in x.parts}
    kind = np.dtype(_pick_dtype(np.dtype(kinds.pop() if len(kinds) == 1 else "float32"), dtype))
    samples = x.samples
    columns: dict[str, Any] = {"ids": np.array(list(samples.ids), str), "sizes": samples.sizes}
    for name, column in samples.targets.items():
        columns[array_name(name)] = column.index
        columns[names_name(name)] = np.array(column.classes, str)
    spans = (slice(start, min(start + PORTION, len(x))) for start in range(0, len(x), PORTION))
    portions = (x.read(span, np.empty((span.stop - span.start, x.dim), kind)) for span in spans)
    write_arrays(path, portions, x.shape, kind, columns)
    return x.shape
