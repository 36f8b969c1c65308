"""What a file of other people's holds, array by array: told at once, read when asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from store.errors import BadValue, UserError

NUMBER, TEXT, OTHER = "numbers", "text", "other"
OBJECTS = "Python objects, which are never opened: save it as .astype(str), empty where a value is missing"


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


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, UTF-8 with or without a byte order mark, without their ends."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadValue(f"{path} cannot be read as text: {error}") from error
    return lines[:-1] if not lines[-1] else lines


def of_dtype(shape: tuple[int, ...], dtype: np.dtype, read: Callable[[], Any]) -> Column:
    if dtype.kind == "O":
        return Column(shape, OTHER, OBJECTS)
    kind = NUMBER if dtype.kind in "fiub" else TEXT if dtype.kind in "SU" else OTHER
    return Column(shape, kind, "text" if kind == TEXT else str(dtype), read)
