"""Open a file of weights, whichever container it is, as nested dicts of `StoredTensor`s. Nothing is read but names.

torch.save's two forms (zip, and the older one of torch before 1.6), `.safetensors`, and numpy's `.npz`.
"""

import io
import math
import struct
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from extract.checkpoints.stored import Span, StoredTensor, checked_span, contiguous_stride
from extract.checkpoints.unpickle import Reader, Storage, settle
from store.errors import BadValue, UserError
from store.json_text import parse_json

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
SAFETENSORS_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
NPY_DTYPES = {
    np.dtype(name).str: getattr(torch, name)
    for name in (
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        "float16",
        "float32",
        "float64",
    )
}


def open_container(path: Path) -> Any:
    """What `path` holds, tensors not yet read. Raises BadValue for a file that holds no weights."""
    with path.open("rb") as file:
        start = file.read(64)
    try:
        if start.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(path) as archive:
                return _open_zip(path, archive)
        if start.startswith(LEGACY_START):
            return _open_torch_legacy(path)
        if path.suffix == ".safetensors" or start[8:9] == b"{":  # some caches drop the name
            return _open_safetensors(path)
    except UserError:
        raise
    except Exception as error:
        raise BadValue(f"{path}: not a readable file of weights ({error}); fetch it again") from error
    raise BadValue(f"{path}: not a file of weights: it begins with {start[:16]!r}; {_what(start)}")


def _what(start: bytes) -> str:
    if start.lstrip()[:1] == b"<":
        return "it is a web page, so the download went wrong"
    return "torch.save, .safetensors and .npz files are read"


def _open_zip(path: Path, archive: zipfile.ZipFile) -> Any:
    names = archive.namelist()
    if len(set(names)) < len(names):
        raise BadValue(f"{path}: two of its members have one name; fetch it again")
    pickles = [name for name in names if name.endswith("/data.pkl")]
    return _open_torch_zip(path, archive, pickles[0]) if pickles else _open_npz(path, archive)


def _record(path: Path, archive: zipfile.ZipFile, name: str) -> Span:
    """An uncompressed member's bytes. torch can be told to write no checksums; then all of them are 0."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise BadValue(f"{path}: {name} is compressed, as torch.save and numpy.savez never write it")
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name_size, extra_size = struct.unpack("<HH", file.read(30)[26:])
        called = file.read(name_size)
    if info.orig_filename not in (called.decode("utf-8", "replace"), called.decode("cp437")):
        raise BadValue(f"{path}: {name} is called {called!r} in its place, the file is damaged; fetch it again")
    start = info.header_offset + 30 + name_size + extra_size
    if not any(member.CRC for member in archive.infolist()):
        return Span(start, info.file_size)
    return checked_span(path, name, start, info.file_size, info.CRC)


def _read(path: Path, span: Span) -> bytes:
    span.check()
    with path.open("rb") as file:
        file.seek(span.offset)
        return file.read(span.size)


def _open_torch_zip(path: Path, archive: zipfile.ZipFile, pickled: str) -> Any:
    folder, names = pickled.removesuffix("data.pkl"), set(archive.namelist())
    if f"{folder}constants.pkl" in names:
        raise BadValue(
            f"{path}: a TorchScript archive, a network with its code: write a function that returns torch.jit.load of "
            "it and name it as --backbone module:function, without --weights; or save its state_dict() for --weights"
        )
    if (order := f"{folder}byteorder") in names and _read(path, _record(path, archive, order)) != b"little":
        raise BadValue(f"{path}: written on a big-endian machine, which is not supported")

    @cache
    def place(storage: Storage) -> Span:
        return _record(path, archive, f"{folder}data/{storage.key}")

    tree = Reader(io.BytesIO(_read(path, _record(path, archive, pickled))), path).load()
    return settle(tree, path, place)


def _open_torch_legacy(path: Path) -> Any:
    """Torch before 1.6: five pickles one after the other, then every storage as its length and its bytes."""
    end = path.stat().st_size
    with path.open("rb") as file:
        for _ in range(3):  # magic number, protocol, byte order
            Reader(file, path).load()
        reader = Reader(file, path)
        tree, keys = reader.load(), Reader(file, path).load()
        places: dict[str, Span] = {}
        for key in keys:
            head = file.read(8)
            size = struct.unpack("<q", head)[0] * reader.storages[key].dtype.itemsize if len(head) == 8 else -1
            places[key] = Span(file.tell(), size)
            if size < 0 or file.seek(size, 1) > end:
                raise BadValue(f"{path}: the file ends too early, it is not whole; fetch it again")
    return settle(tree, path, lambda storage: places[storage.key])


def _open_safetensors(path: Path) -> dict[str, StoredTensor]:
    """8 bytes of header length, a JSON header, the data: https://github.com/huggingface/safetensors, "Format".

    As strict as the library: the tensors fill the rest of the file, each its own part of it.
    """
    end = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else end
        header = parse_json(file.read(length)) if length <= end - 8 else None
    if not isinstance(header, dict):
        raise BadValue(f"{path}: not a .safetensors file: its header is {length} bytes long, the file {end}")
    tensors, parts = {}, []
    for name, entry in header.items():
        if name != "__metadata__":
            shape, kind, (first, last) = tuple(entry["shape"]), entry["dtype"], entry["data_offsets"]
            if not all(type(n) is int and n >= 0 for n in (*shape, first, last)) or not isinstance(kind, str):
                raise BadValue(f"{path}: {name} has shape {shape} at bytes {first} to {last}: fetch it again")
            if last > end - 8 - length:
                raise BadValue(f"{path}: {name} lies beyond the end of the file, it is not whole; fetch it again")
            dtype = SAFETENSORS_DTYPES.get(kind, kind)
            if isinstance(dtype, torch.dtype) and last - first != math.prod(shape) * dtype.itemsize:
                raise BadValue(f"{path}: {name}, {kind} of {shape}, has {last - first} bytes; fetch it again")
            parts.append((first, last, name))
            tensors[name] = StoredTensor(path, 8 + length + first, last - first, dtype, shape, contiguous_stride(shape))
    reached = 0
    for first, last, name in [*sorted(parts), (end - 8 - length, end, "its end")]:
        if first != reached:
            raise BadValue(f"{path}: {name} begins at byte {first} of the data, not at {reached}; fetch it again")
        reached = last
    return tensors


def _open_npz(path: Path, archive: zipfile.ZipFile) -> dict[str, StoredTensor]:
    from numpy.lib import format as npy

    tensors = {}
    for member in archive.namelist():
        offset, size, check = _record(path, archive, member)
        with path.open("rb") as file:
            file.seek(offset)
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(file)
            start = file.tell() - offset
        if dtype.str not in NPY_DTYPES:
            raise BadValue(f"{path}: {member} holds {dtype}, not numbers of a kind that is read here")
        if size - start != math.prod(shape) * dtype.itemsize:
            raise BadValue(f"{path}: {member}, {dtype} of {shape}, has {size - start} bytes; fetch it again")
        stride = contiguous_stride(shape[::-1])[::-1] if fortran else contiguous_stride(shape)
        dtype = NPY_DTYPES[dtype.str]
        name = member.removesuffix(".npy")
        tensors[name] = StoredTensor(path, offset + start, size - start, dtype, shape, stride, check)
    return tensors
