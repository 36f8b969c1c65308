"""A tensor that is still in its file: what it is and where it lies, read only when asked for."""

import math
from pathlib import Path
from typing import NamedTuple

import torch

from store.errors import BadValue


class StoredTensor(NamedTuple):
    """Elements `offset`, in bytes, of `path`; `shape` and `stride` are in elements, as torch has them.

    A tuple, because a hostile pickle can change the fields of nearly everything else (opcode BUILD).
    """

    path: Path
    offset: int
    room: int
    """Bytes that the tensor's storage has from `offset` on."""
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def read(self) -> torch.Tensor:
        """The tensor, in memory of its own: one read of its bytes, no mapping of the file."""
        reach = 1 + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        count = reach if math.prod(self.shape) else 0
        size = count * self.dtype.itemsize
        if size > self.room or min((*self.shape, *self.stride, self.offset), default=0) < 0:
            raise BadValue(f"{self.path}: a tensor of shape {self.shape} lies outside of its storage; fetch it again")
        flat = torch.empty(count, dtype=self.dtype)
        with self.path.open("rb") as file:
            file.seek(self.offset)
            if size and file.readinto(flat.view(torch.uint8).numpy().data) != size:
                raise BadValue(f"{self.path}: the file ends too early, it is not whole; fetch it again")
        return flat.as_strided(self.shape, self.stride).contiguous()


def contiguous_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
