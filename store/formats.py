"""Files that features are written to: npz, npy, HDF5, Parquet, as named arrays.

`features` (N, D); `ids`, `sizes` and `content`, the images' hashes in hex, (N,); for the target column `label` the
class indices `labels` (N,) and the class names `label_names` (C,), for `group` likewise, and `target_X`,
`target_X_names` for any other column X.
"""

import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from store.foreign_parquet import pyarrow
from store.whole import written, written_together

PORTION = 4096
"""Rows written at a time."""

Arrays = dict[str, np.ndarray]
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


def _is_ours(name: str) -> bool:
    """Whether `export` gives an array that name."""
    fixed = (
        "ids",
        "sizes",
        "content",
        *(name_of(column) for column in ("label", "group") for name_of in (array_name, names_name)),
    )
    return name in fixed or name.startswith("target_")


def write_arrays(path: Path, portions: Portions, shape: tuple[int, int], dtype: np.dtype, columns: Arrays) -> None:
    """Write (N, D) features, given in portions of rows, and the columns beside them: whole or not at all.

    `path` ends as one of `WRITERS`. Raises `BadValue`: the file cannot be written; what was there is untouched.
    """
    writer = WRITERS[path.suffix.lower()]
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
    with written_together([*beside, path], _stale(path, beside)) as (*files, features):
        for file, array in zip(files, columns.values(), strict=True):
            np.lib.format.write_array(file, array, allow_pickle=False)
        _npy_header(features, shape, dtype)
        for x in portions:
            features.write(x.tobytes())


def _stale(path: Path, beside: Sequence[Path]) -> list[Path]:
    """Columns of an export that is replaced, which the new one has not."""
    there = path.parent.glob("*.npy") if path.exists() else ()
    named = {one.name.removeprefix(f"{path.stem}.").removesuffix(".npy"): one for one in there if one not in beside}
    return [one for name, one in named.items() if _is_ours(name) and one.name == f"{path.stem}.{name}.npy"]


def _write_hdf5(path: Path, portions: Portions, shape: tuple[int, int], dtype: np.dtype, columns: Arrays) -> None:
    import h5py

    with written(path) as handle:
        target = _Target(handle)
        with h5py.File(target, "w") as file:
            data, row = file.create_dataset("features", shape, dtype), 0
            for x in portions:
                data[row : row + len(x)] = x
                row += len(x)
                target.check()
            for name, array in columns.items():
                text = array.dtype.kind == "U"
                file.create_dataset(name, data=array.astype(object) if text else array,
                                    dtype=h5py.string_dtype() if text else array.dtype)  # fmt: skip
        target.check()


class _Target:
    """A file for h5py whose first error is kept for `check`: out of a write of HDF5's it comes as another error."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.seek, self.tell, self.flush = file.read, file.seek, file.tell, file.flush
        self.readinto = file.readinto  # type: ignore[attr-defined]
        self._file = file
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self._error = self._error or error
            return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def check(self) -> None:
        if self._error:
            raise self._error


def _write_parquet(path: Path, portions: Portions, shape: tuple[int, int], dtype: np.dtype, columns: Arrays) -> None:
    pa = pyarrow()
    names = {name: array.tolist() for name, array in columns.items() if len(array) != shape[0] or _is_names(name)}
    rows = {name: array for name, array in columns.items() if name not in names}
    kind = pa.list_(pa.from_numpy_dtype(dtype), shape[1])
    fields = [(name, pa.string() if a.dtype.kind == "U" else pa.from_numpy_dtype(a.dtype)) for name, a in rows.items()]
    schema = pa.schema([*fields, ("features", kind)], {"motherlode": json.dumps(names)})
    options = {"compression": "none", "write_page_checksum": True}
    with (
        written(path) as file,
        pa.parquet.ParquetWriter(file, schema, **options) as writer,
    ):
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
