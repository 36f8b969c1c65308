"""HDF5 of other people: only arrays that lie in the file itself, and only after a process that may die has read it."""

import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from store.errors import BadValue, UserError
from store.features import FeatureSet
from store.foreign import OTHER, TEXT, Column, of_dtype
from store.hdf5_blocks import open_blocks
from store.manifest import Manifest
from store.root import open_root

SECONDS = 60.0
"""For reading all text and all indices of chunks; and a second more for each 10 MB."""
_TRIAL = """
import contextlib, sys, h5py
with h5py.File(sys.argv[1], "r") as file:
    for name in file:
        with contextlib.suppress(Exception):
            data = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
            if isinstance(data, h5py.Dataset) and not data.external and not data.is_virtual:
                data.chunks and data.id.get_num_chunks()
                data[()] if h5py.check_string_dtype(data.dtype) else data[:1]
"""


def hdf5_columns(path: Path) -> dict[str, Column]:
    """The arrays of an HDF5 file."""
    import h5py

    check_readable(path)
    file = h5py.File(path, "r")  # stays open as long as its datasets are used
    columns: dict[str, Column] = {}
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            columns[name] = Column((), OTHER, "a link, which is not followed")
        elif file.get(name, getclass=True) is h5py.Group:
            columns[f"{name}/"] = Column((), OTHER, "a group, whose arrays are not read")
        elif file.get(name, getclass=True) is h5py.Dataset:
            columns[name] = _dataset(path, file[name])
    return columns


def check_readable(path: Path) -> None:
    """Raise `BadValue` where the HDF5 library never comes back from a damaged file, or dies of it."""
    seconds = SECONDS + path.stat().st_size / 1e7
    try:
        done = subprocess.run(  # what it says otherwise, reading says again
            [sys.executable, "-I", "-c", _TRIAL, str(path)], timeout=seconds, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        raise BadValue(f"{path} is damaged: the HDF5 library is not done with it in {seconds:.0f} s") from None
    if done.returncode < 0:
        raise BadValue(f"{path} is damaged: the HDF5 library dies of it (signal {-done.returncode})")


def _dataset(path: Path, data: Any) -> Column:
    import h5py

    if data.shape is None:
        return Column((), OTHER, "empty")
    if data.external:
        return Column(data.shape, OTHER, "kept in another file, which is not read")
    if data.is_virtual and not _of_own_blocks(path, data):
        return Column(data.shape, OTHER, "a view of other files, which are not read")
    if h5py.check_string_dtype(data.dtype) is not None:
        return Column(data.shape, TEXT, "text", lambda: np.asarray(data.asstr("utf-8")[()], object))
    if data.dtype.kind == "O":
        return Column(data.shape, OTHER, "rows of several lengths, or references")
    return of_dtype(data.shape, data.dtype, lambda: _checked(path, data) if data.is_virtual else data)


def _of_own_blocks(path: Path, data: Any) -> bool:
    """Whether a virtual dataset is a store's own x.h5: all its sources are plain and lie in the folder x beside it."""
    import h5py

    folder = path.resolve().parent / "x"
    for source in data.virtual_sources():
        inside = PurePosixPath(source.file_name)
        file = folder / inside.name
        if inside.parts[:-1] != ("x",) or file.resolve().parent != folder or not file.is_file():
            return False
        with h5py.File(file, "r") as opened:
            link = opened.get(source.dset_name, getlink=True)
            plain = isinstance(link, h5py.HardLink) and isinstance(opened[source.dset_name], h5py.Dataset)
            if not plain or opened[source.dset_name].external or opened[source.dset_name].is_virtual:
                return False
    return True


def _checked(path: Path, data: Any) -> Any:
    """A store's own x.h5, after every block was compared with its checksum, which the HDF5 library knows nothing of.

    Raises `BadValue`: a block is damaged, or not the one that was committed.
    """
    folder = path.resolve().parent
    root, manifest = open_root(folder.parent), folder / "manifest.json"
    try:
        if manifest.is_file():
            known = Manifest.from_json(manifest.read_bytes(), str(manifest))
            blocks = FeatureSet(root, folder.name, known).blocks
        else:
            blocks = open_blocks(root, f"{folder.name}/x")
        for block in range(blocks.num_blocks):
            blocks.read_block(block)
    except UserError as error:
        raise BadValue(f"{path} is damaged: {getattr(error, 'what', error)}") from error
    return data


def check_written(path: Path, x: Any, rows: int) -> None:
    """Raise `BadValue` where HDF5 would show its fill value in the first `rows` rows, which nobody wrote."""
    if isinstance(x, np.ndarray) or x.is_virtual:
        return
    if x.chunks is None:
        whole = x.id.get_storage_size() >= x.nbytes
    else:
        covered = (rows, *x.shape[1:])
        needed = np.prod([-(-length // chunk) for length, chunk in zip(covered, x.chunks, strict=True)])
        whole = x.id.get_num_chunks() >= needed
    if not whole:
        raise BadValue(f"{path}: not all rows of {x.name.strip('/')} were ever written; was what wrote it killed?")
