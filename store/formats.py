"""Files that features are exchanged in: npz, npy, HDF5, Parquet. Each is read into, and written from, named arrays.

`features` (N, D); `ids`, `sizes` (N,); for the target column `label` the class indices `labels` (N,) and the class
names `label_names` (C,), for `group` likewise, and `target_X`, `target_X_names` for any other column X. Of other
people's files only the features must be there. Nothing read from a file runs code: no pickles.
"""

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from store.errors import BadValue
from store.json_text import parse_json
from store.whole import written, written_together

ALIASES = {
    "features": ("features", "all_feats", "feats", "embeddings", "embedding", "x", "X"),
    "labels": ("labels", "all_labels", "label", "targets", "y", "class_name"),
    "groups": ("groups", "group"),
    "ids": ("ids", "id", "paths", "filenames"),
}
"""What others call our arrays."""
PORTION = 4096
"""Rows written at a time."""

Arrays = dict[str, Any]
"""Name -> numpy array, or for `features` anything with a shape, a dtype and slices of rows."""
Portions = Iterator[np.ndarray]


def array_name(column: str) -> str:
    """The array that holds a target column."""
    return {"label": "labels", "group": "groups"}.get(column, f"target_{column}")


def names_name(column: str) -> str:
    """The array that holds its class names."""
    return {"label": "label_names", "group": "group_names"}.get(column, f"target_{column}_names")


def column_of(name: str) -> str | None:
    """The target column that an array holds; None for other arrays."""
    known = {"labels": "label", "groups": "group"}
    if name in known:
        return known[name]
    return name.removeprefix("target_") if name.startswith("target_") and not name.endswith("_names") else None


def read_arrays(path: Path) -> Arrays:
    """The arrays of a file, under our names.

    Raises `BadValue`: no such file, a format that is not known, a file that is damaged or without features.
    """
    if not path.is_file():
        raise BadValue(f"{path} is not a file")
    reader = _by_suffix(READERS, path)
    try:
        found = reader(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, BadValue):
            raise
        raise BadValue(f"{path} cannot be read as {path.suffix}: {error}") from error
    arrays = dict(found)
    for ours, names in ALIASES.items():
        theirs = next((name for name in names if name in arrays), None)
        if theirs is not None:
            arrays[ours] = arrays.pop(theirs)
    if "features" not in arrays:
        have = ", ".join(found) or "nothing"
        raise BadValue(f"{path} has no array `features` (or {', '.join(ALIASES['features'][1:])}); it has: {have}")
    count = arrays.pop("count", None)
    return arrays if count is None else _cut(arrays, int(np.asarray(count).ravel()[0]), path)


def _cut(arrays: Arrays, count: int, path: Path) -> Arrays:
    """The few-shot layout: rows from `count` on are padding, zeros that are no features."""
    rows = arrays["features"].shape[0]
    if not 0 <= count <= rows:
        raise BadValue(f"{path}: count is {count}, but there are {rows} rows")
    cut = {name: array[:count] for name, array in arrays.items() if len(array) == rows and name != "features"}
    return {**arrays, **cut, "features": arrays["features"][:count]}


def _by_suffix(table: Mapping[str, Any], path: Path) -> Any:
    suffix = path.suffix.lower()
    if suffix not in table:
        raise BadValue(f"{path}: the format is told by the suffix, one of {', '.join(table)}")
    return table[suffix]


def _read_npz(path: Path) -> Arrays:
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _read_npy(path: Path) -> Arrays:
    """The features, and what lies beside them: X.npy, X.labels.npy, X.ids.npy, ..."""
    arrays: Arrays = {"features": np.load(path, mmap_mode="r", allow_pickle=False)}
    for beside in sorted(path.parent.glob(f"{path.stem}.*.npy")):
        arrays[beside.name.removeprefix(f"{path.stem}.").removesuffix(".npy")] = np.load(beside, allow_pickle=False)
    return arrays


def _read_hdf5(path: Path) -> Arrays:
    import h5py

    file = h5py.File(path, "r")  # stays open as long as its datasets are used
    arrays: Arrays = {}
    for name, data in file.items():
        if isinstance(data, h5py.Dataset):
            is_text = h5py.check_string_dtype(data.dtype) is not None
            whole = name not in ALIASES["features"]
            arrays[name] = np.array(data.asstr()[:], str) if is_text else data[:] if whole else data
    return arrays


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise BadValue("Parquet needs pyarrow: pip install 'motherlode[report]'") from error
    return pyarrow


def _read_parquet(path: Path) -> Arrays:
    pa = _parquet()
    try:
        table = pa.parquet.read_table(path)
    except pa.ArrowException as error:
        raise BadValue(f"{path} cannot be read as .parquet: {error}") from error
    arrays: Arrays = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
            lengths = np.unique(pa.compute.list_value_length(column).to_numpy())
            if column.null_count or len(lengths) > 1:
                raise BadValue(f"{path}: the rows of {name} have {lengths.tolist()} values; features have D")
            flat = pa.compute.list_flatten(column).to_numpy()
            arrays[name] = flat.reshape(len(column), -1)
        else:
            values = column.to_numpy()
            arrays[name] = np.array(values, str) if values.dtype == object else values
    for name, texts in parse_json((table.schema.metadata or {}).get(b"motherlode", b"{}")).items():
        arrays[name] = np.array(texts, str)
    return arrays


READERS: dict[str, Callable[[Path], Arrays]] = {
    ".npz": _read_npz, ".npy": _read_npy, ".h5": _read_hdf5, ".hdf5": _read_hdf5, ".parquet": _read_parquet,
}  # fmt: skip


def write_arrays(path: Path, portions: Portions, shape: tuple[int, int], dtype: np.dtype, columns: Arrays) -> None:
    """Write (N, D) features, given in portions of rows, and the columns beside them: whole or not at all.

    Raises `BadValue`: a format that is not known, or the file cannot be written; what was there is untouched.
    """
    writer = _by_suffix(WRITERS, path)
    writer(path, portions, shape, dtype, columns)


def _npy_header(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype) -> None:
    text = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_2_0(file, {"descr": text, "fortran_order": False, "shape": shape})


def _write_npz(path: Path, portions: Portions, shape: tuple[int, int], dtype: np.dtype, columns: Arrays) -> None:
    with written(path) as file, zipfile.ZipFile(file, "w") as archive:
        with archive.open("features.npy", "w", force_zip64=True) as member:
            _npy_header(member, shape, dtype)
            for x in portions:
                member.write(x.tobytes())
        for name, array in columns.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _write_npy(path: Path, portions: Portions, shape: tuple[int, int], dtype: np.dtype, columns: Arrays) -> None:
    beside = [path.with_name(f"{path.stem}.{name}.npy") for name in columns]
    with written_together([*beside, path]) as (*files, features):
        for file, array in zip(files, columns.values(), strict=True):
            np.lib.format.write_array(file, array, allow_pickle=False)
        _npy_header(features, shape, dtype)
        for x in portions:
            features.write(x.tobytes())


def _write_hdf5(path: Path, portions: Portions, shape: tuple[int, int], dtype: np.dtype, columns: Arrays) -> None:
    import h5py

    with written(path) as handle, h5py.File(handle, "w") as file:
        data, row = file.create_dataset("features", shape, dtype), 0
        for x in portions:
            data[row : row + len(x)] = x
            row += len(x)
        for name, array in columns.items():
            text = array.dtype.kind == "U"
            file.create_dataset(name, data=array.astype(object) if text else array,
                                dtype=h5py.string_dtype() if text else array.dtype)  # fmt: skip


def _write_parquet(path: Path, portions: Portions, shape: tuple[int, int], dtype: np.dtype, columns: Arrays) -> None:
    pa = _parquet()
    names = {name: array.tolist() for name, array in columns.items() if len(array) != shape[0] or _is_names(name)}
    rows = {name: array for name, array in columns.items() if name not in names}
    kind = pa.list_(pa.from_numpy_dtype(dtype), shape[1])
    fields = [(name, pa.string() if a.dtype.kind == "U" else pa.from_numpy_dtype(a.dtype)) for name, a in rows.items()]
    schema = pa.schema([*fields, ("features", kind)], {"motherlode": json.dumps(names)})
    with written(path) as file, pa.parquet.ParquetWriter(file, schema, compression="none") as writer:
        row = 0
        for x in portions:
            features = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), shape[1])
            here = [
                pa.array(a[row : row + len(x)].tolist(), kind)
                for (_, kind), a in zip(fields, rows.values(), strict=True)
            ]
            writer.write_table(pa.Table.from_arrays([*here, features], schema=schema))
            row += len(x)


def _is_names(name: str) -> bool:
    return name.endswith("_names")


WRITERS: dict[str, Callable[..., None]] = {
    ".npz": _write_npz, ".npy": _write_npy, ".h5": _write_hdf5, ".hdf5": _write_hdf5, ".parquet": _write_parquet,
}  # fmt: skip
