"""Open a file of weights, whichever container it is, as nested dicts of `StoredTensor`s. Nothing is read but names.

torch.save's two forms (zip, and the older one of torch before 1.6), `.safetensors`, and numpy's `.npz`.
"""

import struct
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from extract.checkpoints.stored import StoredTensor, contiguous_stride
from extract.checkpoints.unpickle import Reader, settle
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
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NPY_DTYPES = {"<f4": torch.float32, "<f2": torch.float16, "<f8": torch.float64, "<i8": torch.int64, "<i4": torch.int32}


def open_container(path: Path) -> Any:
    """What `path` holds, tensors not yet read. Raises BadValue for a file that holds no weights."""
    with path.open("rb") as file:
        start = file.read(64)
    try:
        if start.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(path) as archive:
                pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
                return _open_torch_zip(path, archive, pickles[0]) if pickles else _open_npz(path, archive)
        if start.startswith(LEGACY_START):
            return _open_torch_legacy(path)
        if path.suffix == ".safetensors":
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


def _record(archive: zipfile.ZipFile, file: IO[bytes], name: str) -> tuple[int, int]:
    """Offset and size of an uncompressed member's bytes."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise BadValue(f"{archive.filename}: {name} is compressed, as torch.save and numpy.savez never write it")
    file.seek(info.header_offset)
    header = file.read(30)
    name_size, extra_size = struct.unpack("<HH", header[26:30])
    return info.header_offset + 30 + name_size + extra_size, info.file_size


def _open_torch_zip(path: Path, archive: zipfile.ZipFile, pickled: str) -> Any:
    folder = pickled.removesuffix("data.pkl")
    if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
        raise BadValue(f"{path}: written on a big-endian machine, which is not supported")
    with path.open("rb") as raw, archive.open(pickled) as file:
        tree = Reader(file, path).load()
        return settle(tree, path, lambda storage: _record(archive, raw, f"{folder}data/{storage.key}"))


def _open_torch_legacy(path: Path) -> Any:
    """Torch before 1.6: five pickles one after the other, then every storage as its length and its bytes."""
    end = path.stat().st_size
    with path.open("rb") as file:
        for _ in range(3):  # magic number, protocol, byte order
            Reader(file, path).load()
        reader = Reader(file, path)
        tree, keys = reader.load(), Reader(file, path).load()
        places: dict[str, tuple[int, int]] = {}
        for key in keys:
            head = file.read(8)
            size = struct.unpack("<q", head)[0] * reader.storages[key].dtype.itemsize if len(head) == 8 else -1
            places[key] = (file.tell(), size)
            if size < 0 or file.seek(size, 1) > end:
                raise BadValue(f"{path}: the file ends too early, it is not whole; fetch it again")
    return settle(tree, path, lambda storage: places[storage.key])


def _open_safetensors(path: Path) -> dict[str, StoredTensor]:
    """8 bytes of header length, a JSON header, the data: https://github.com/huggingface/safetensors, "Format"."""
    end = path.stat().st_size
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = parse_json(file.read(length)) if length <= end else None
    if not isinstance(header, dict):
        raise BadValue(f"{path}: not a .safetensors file: its header is {length} bytes long, the file {end}")
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            shape = tuple(entry["shape"])
            dtype = SAFETENSORS_DTYPES[entry["dtype"]]
            if not 0 <= first <= last <= end - 8 - length:
                raise BadValue(f"{path}: {name} lies beyond the end of the file, it is not whole; fetch it again")
            tensors[name] = StoredTensor(path, 8 + length + first, last - first, dtype, shape, contiguous_stride(shape))
    return tensors


def _open_npz(path: Path, archive: zipfile.ZipFile) -> dict[str, StoredTensor]:
    from numpy.lib import format as npy

    tensors = {}
    with path.open("rb") as raw:
        for member in archive.namelist():
            offset, size = _record(archive, raw, member)
            with archive.open(member) as file:
                version = npy.read_magic(file)
                read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, fortran, dtype = read(file)
                start = file.tell()
            if dtype.str not in NPY_DTYPES:
                raise BadValue(f"{path}: {member} holds {dtype}, not numbers")
            stride = contiguous_stride(shape[::-1])[::-1] if fortran else contiguous_stride(shape)
            name = member.removesuffix(".npy")
            tensors[name] = StoredTensor(path, offset + start, size - start, NPY_DTYPES[dtype.str], shape, stride)
    return tensors
