"""Writing files so that they appear whole or not at all; tensors as .safetensors, the same bytes for the same values.

Format: https://github.com/huggingface/safetensors, "Format". Reading is extract/checkpoints/containers.py.
"""

import errno
import hashlib
import json
import os
import struct
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch

from extract.checkpoints.containers import SAFETENSORS_DTYPES
from store.errors import RootError

NAMES = {dtype: name for name, dtype in SAFETENSORS_DTYPES.items()}


def write_file(path: Path, data: bytes) -> None:
    """Replace `path`, durably. Raises `RootError`: no room, or no permission; what was there is untouched."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        why = "the disk is full: free some room" if full else f"{error.strerror}: choose another --backbones"
        raise RootError(
            f"cannot write {path}; {why}, then run the same command again; it goes on where it was"
        ) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def safetensors(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """The file's bytes, tensors in order of their names."""
    header, chunks, offset = dict[str, object](), list[bytes](), 0
    for name, tensor in sorted(tensors.items()):
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(data)],
        }
        chunks.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *chunks])


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    """Write `path`; returns its sha256."""
    data = safetensors(tensors)
    write_file(path, data)
    return hashlib.sha256(data).hexdigest()
