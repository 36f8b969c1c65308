"""A tensor that is still in its file: what it is and where it lies, read only when asked for."""

import math
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

from store.errors import BadValue

CHUNK = 1 << 20
MOST_REPEATED = 1 << 24
"""Elements of a tensor that shows the same stored ones again and again (stride 0)."""


def unchecked() -> None:
    """Of a container that keeps no checksums."""


class Span(NamedTuple):
    """Bytes of a file, and how they are compared with their checksum."""

    offset: int
    size: int
    check: Callable[[], None] = unchecked
    """Raises `BadValue`: not what was written. Called before the first byte is used; reads them once."""


class StoredTensor(NamedTuple):
    """Elements `offset`, in bytes, of `path`; `shape` and `stride` are in elements, as torch has them.

    A tuple, because a hostile pickle can change the fields of nearly everything else (opcode BUILD).
    """

    path: Path
    offset: int
    room: int
    """Bytes that the tensor's storage has from `offset` on."""
    dtype: torch.dtype | str
    """A name where torch has no such type, or cannot hold it: such a tensor cannot be read."""
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    check: Callable[[], None] = unchecked
    """As in `Span`."""

    def read(self) -> torch.Tensor:
        """The tensor, in memory of its own: one read of its bytes, no mapping of the file. Raises `BadValue`."""
        if isinstance(self.dtype, str):
            raise BadValue(f"{self.path}: a tensor of {list(self.shape)} is of {self.dtype}, which is not read here")
        shown = self.shape if len(self.shape) < 9 else f"{len(self.shape)} axes"
        if len(self.stride) != len(self.shape) or min((*self.shape, *self.stride, self.offset), default=0) < 0:
            raise BadValue(f"{self.path}: a tensor of shape {shown} has strides {self.stride[:9]}; fetch it again")
        reach = 1 + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        count = reach if math.prod(self.shape) else 0
        size = count * self.dtype.itemsize
        if size > self.room or math.prod(self.shape) > max(count, MOST_REPEATED):
            raise BadValue(f"{self.path}: a tensor of shape {shown} lies outside of its storage; fetch it again")
        self.check()
        flat = torch.empty(count, dtype=self.dtype)
        with self.path.open("rb") as file:
            file.seek(self.offset)
            if size and file.readinto(flat.view(torch.uint8).numpy().data) != size:
                raise BadValue(f"{self.path}: the file ends too early, it is not whole; fetch it again")
        return flat.as_strided(self.shape, self.stride).contiguous()


def contiguous_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def checked_span(path: Path, name: str, offset: int, size: int, crc: int) -> Span:
    """`size` bytes from `offset` on whose CRC-32 has to be `crc`; `name` is what they are called."""

    @cache
    def check() -> None:
        found, left = 0, size
        with path.open("rb") as file:
            file.seek(offset)
            while chunk := file.read(min(CHUNK, left)):
                found, left = zlib.crc32(chunk, found), left - len(chunk)
        if left or found != crc:
            raise BadValue(f"{path}: {name} is damaged, its checksum is wrong; fetch the file again")

    return Span(offset, size, check)
