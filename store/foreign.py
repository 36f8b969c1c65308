"""Files of other people: npz, npy, HDF5, Parquet. What is there is told at once, values are read when asked for.

Nothing that is read runs code (no pickles), and nothing comes from outside the file that was named; beside X.npy its
columns X.labels.npy, X.ids.npy, and thingsvision's file_names.txt, belong to it.
"""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from store.errors import BadValue, UserError
from store.json_text import parse_json

NUMBER, TEXT, OTHER = "numbers", "text", "other"
_OBJECTS = "Python objects, which are never opened: save it as .astype(str), empty where a value is missing"
NAMES_FILE = "file_names.txt"
"""Where thingsvision writes the images of the rows, one a line, beside its features."""


@dataclass(frozen=True)
class Column:
    """One array of a file. A length of -1 is one that only reading tells."""

    shape: tuple[int, ...]
    kind: str
    """`NUMBER`, `TEXT` or `OTHER`."""
    what: str
    """For people: the dtype, or why it cannot be read."""
    read: Callable[[], Any] | None = None
    """An array, or for numbers anything with a shape, a dtype and slices of rows; None where a value is missing."""

    def first(self, count: int, rows: int) -> "Column":
        """Its first `count` rows, where it has `rows` of them."""
        if self.read is None or self.shape[:1] != (rows,):
            return self
        read = self.read
        return replace(self, shape=(count, *self.shape[1:]), read=lambda: read()[:count])

    def load(self, path: Path) -> Any:
        """What `read` gives. Raises `BadValue`: it cannot be read, or the file is damaged there."""
        with reading(path):
            return None if self.read is None else self.read()

    def __str__(self) -> str:
        shape = ", ".join("D" if length < 0 else str(length) for length in self.shape)
        return f"({shape}{',' if len(self.shape) == 1 else ''}) {self.what}"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever a library says about a file that it cannot read becomes a `BadValue` with the file's name."""
    try:
        yield
    except UserError:
        raise
    except (Exception, MemoryError) as error:  # zlib, zipfile, HDF5, Arrow and numpy raise a dozen kinds
        text = str(error) or type(error).__name__
        raise BadValue(f"{path} cannot be read as {path.suffix}: {text}") from error


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
        if reader in (_npy, _hdf5) and beside.is_file():
            lines = read_lines(beside)
            columns.setdefault("file_names", Column((len(lines),), TEXT, "text", lambda: np.array(lines, object)))
        return columns


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, UTF-8 with or without a byte order mark, without their ends."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadValue(f"{path} cannot be read as text: {error}") from error
    return lines[:-1] if not lines[-1] else lines


def _of_dtype(shape: tuple[int, ...], dtype: np.dtype, read: Callable[[], Any]) -> Column:
    if dtype.kind == "O":
        return Column(shape, OTHER, _OBJECTS)
    kind = NUMBER if dtype.kind in "fiub" else TEXT if dtype.kind in "SU" else OTHER
    return Column(shape, kind, "text" if kind == TEXT else str(dtype), read)


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
            columns[name] = _of_dtype(shape, dtype, lambda name=info.filename: _npz_member(path, name))  # type: ignore[misc]
    return columns


def _npz_member(path: Path, name: str) -> np.ndarray:
    with zipfile.ZipFile(path) as archive, archive.open(name) as member:
        array: np.ndarray = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):  # to its end, where zipfile compares the checksum
            raise ValueError(f"{name} is longer than its header says")
    return array


def _npy(path: Path) -> dict[str, Column]:
    mapped = np.lib.format.open_memmap(path, mode="r")
    columns = {"features": _of_dtype(mapped.shape, mapped.dtype, lambda: mapped)}
    for beside in sorted(path.parent.iterdir()):
        name = beside.name.removeprefix(f"{path.stem}.").removesuffix(".npy")
        if beside.name == f"{path.stem}.{name}.npy" and "." not in name and name != "features":
            columns[name] = read_beside(beside)
    return columns


def read_beside(path: Path) -> Column:
    """One .npy file as a column; of the kind `OTHER` where it cannot be read."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        objects = "objects" in str(error)
        return Column((), OTHER, _OBJECTS if objects else f"damaged: {error}")
    return _of_dtype(array.shape, array.dtype, lambda: np.array(array))


def _hdf5(path: Path) -> dict[str, Column]:
    import h5py

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
    return _of_dtype(data.shape, data.dtype, lambda: data)


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


def _parquet(path: Path) -> dict[str, Column]:
    pa = pyarrow()
    file = pa.parquet.ParquetFile(path, page_checksum_verification=True)
    count, columns = file.metadata.num_rows, dict[str, Column]()
    for field in file.schema_arrow:
        if field.name in columns:
            raise BadValue(f"{path}: the column {field.name} occurs twice")
        columns[field.name] = _parquet_column(pa, file, field, count)
    for name, texts in _our_names(path, file.schema_arrow.metadata or {}).items():
        columns[name] = Column((len(texts),), TEXT, "text", lambda texts=texts: np.array(texts, object))  # type: ignore[misc]
    return columns


def _our_names(path: Path, metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """The class names that `store export` writes beside the rows."""
    found = parse_json(metadata.get(b"motherlode", b"{}"))
    if not isinstance(found, dict) or not all(isinstance(texts, list) for texts in found.values()):
        raise BadValue(f"{path}: its metadata `motherlode` are not those that store export writes")
    return found


def _parquet_column(pa: Any, file: Any, field: Any, count: int) -> Column:
    kind, name, types = field.type, field.name, pa.types

    def read() -> Any:
        return file.read([name]).column(0)

    if isinstance(kind, pa.FixedShapeTensorType):
        shape = (count, *kind.shape)
        return Column(shape, NUMBER, str(kind.value_type), lambda: read().combine_chunks().to_numpy_ndarray())
    if (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)) and _is_number(
        types, kind.value_type
    ):
        dim = kind.list_size if types.is_fixed_size_list(kind) else -1
        return Column((count, dim), NUMBER, str(kind.value_type), lambda: _flat(pa, name, read()))
    if types.is_dictionary(kind):
        kind = kind.value_type
    if _is_number(types, kind):
        return Column((count,), NUMBER, str(kind), lambda: _with_nulls(read()))
    texts = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    if any(is_kind(kind) for is_kind in (*texts, types.is_binary, types.is_large_binary)):
        return Column((count,), TEXT, "text", lambda: np.array(read().to_pylist(), object))
    return Column((count,), OTHER, str(kind))


def _is_number(types: Any, kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _with_nulls(column: Any) -> np.ndarray:
    if column.null_count or "dictionary" in str(column.type):
        return np.array(column.to_pylist(), object)
    return np.asarray(column.to_numpy())


def _flat(pa: Any, name: str, column: Any) -> np.ndarray:
    """Lists of D numbers as (N, D)."""
    lengths = np.unique(pa.compute.list_value_length(column).drop_null().to_numpy())
    if column.null_count or len(lengths) != 1:
        raise BadValue(f"the rows of {name} have {lengths.tolist()} values, {column.null_count} none; features have D")
    return np.asarray(pa.compute.list_flatten(column).to_numpy()).reshape(len(column), -1)


def pyarrow() -> Any:
    """The library, with its Parquet. Raises `BadValue`: it is not installed."""
    try:
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise BadValue("Parquet needs pyarrow: pip install 'motherlode[report]'") from error
    return pyarrow


READERS: dict[str, Callable[[Path], dict[str, Column]]] = {
    ".npz": _npz, ".npy": _npy, ".h5": _hdf5, ".hdf5": _hdf5, ".parquet": _parquet,
}  # fmt: skip
