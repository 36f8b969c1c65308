"""Files of other people: npz, npy, HDF5, Parquet.

Nothing that is read runs code (no pickles), and nothing comes from outside the file that was named; beside X.npy its
columns X.labels.npy, X.ids.npy, and thingsvision's file_names.txt, belong to it.
"""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from store.errors import BadValue
from store.foreign import OBJECTS, OTHER, TEXT, Column, of_dtype, read_lines, reading
from store.foreign_hdf5 import hdf5_columns
from store.foreign_parquet import parquet_columns
from store.tables import bytes_text

NAMES_FILE = "file_names.txt"
"""Where thingsvision writes the images of the rows, one a line, beside its features."""


def read_columns(path: Path) -> dict[str, Column]:
    """The arrays of a file by name. Raises `BadValue`: no such file, an unknown format, a file that is damaged."""
    if not path.is_file():
        folder = "a folder; one file is imported at a time" if path.is_dir() else "not a file"
        raise BadValue(f"{path} is {folder}")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise BadValue(
            f"{path}: the format is told by the suffix, one of {', '.join(READERS)}; any array becomes one by "
            "np.savez('x.npz', features=x, ids=names)"
        )
    with reading(path):
        columns = reader(path)
        beside = path.with_name(NAMES_FILE)
        if reader in (_npy, hdf5_columns) and beside.is_file():
            lines = read_lines(beside)
            columns.setdefault("file_names", Column((len(lines),), TEXT, "text", lambda: np.array(lines, object)))
        return columns


def _npz(path: Path) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name in columns:
                raise BadValue(f"{path}: the array {name} occurs twice")
            if name == info.filename:
                columns[name] = Column((), OTHER, "no array")
                continue
            with archive.open(info) as member:
                version = np.lib.format.read_magic(member)
                if version > (2, 0):
                    columns[name] = Column((), OTHER, "records")
                    continue
                header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
                shape, _, dtype = header(member)
            columns[name] = of_dtype(shape, dtype, lambda name=info.filename: _npz_member(path, name))  # type: ignore[misc]
    return columns


def _npz_member(path: Path, name: str) -> np.ndarray:
    with zipfile.ZipFile(path) as archive, archive.open(name) as member:
        size, memory = archive.getinfo(name).file_size, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if size > memory:
            raise BadValue(
                f"{path}: {name} needs {bytes_text(size)} of memory, this machine has {bytes_text(memory)}: a .npy is "
                "read where it lies"
            )
        array: np.ndarray = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):  # to its end, where zipfile compares the checksum
            raise ValueError(f"{name} is longer than its header says")
    return array


def _npy(path: Path) -> dict[str, Column]:
    mapped = np.lib.format.open_memmap(path, mode="r")
    columns = {"features": of_dtype(mapped.shape, mapped.dtype, lambda: mapped)}
    for beside in sorted(path.parent.iterdir()):
        name = beside.name.removeprefix(f"{path.stem}.").removesuffix(".npy")
        if beside.name == f"{path.stem}.{name}.npy" and "." not in name and name != "features" and beside.is_file():
            columns[name] = read_beside(beside)
    return columns


def read_beside(path: Path) -> Column:
    """One .npy file as a column; of the kind `OTHER` where it cannot be read."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        objects = "objects" in str(error)
        return Column((), OTHER, OBJECTS if objects else f"damaged: {error}")
    return of_dtype(array.shape, array.dtype, lambda: np.array(array))


READERS: dict[str, Callable[[Path], dict[str, Column]]] = {
    ".npz": _npz, ".npy": _npy, ".h5": hdf5_columns, ".hdf5": hdf5_columns, ".parquet": parquet_columns,
}  # fmt: skip
