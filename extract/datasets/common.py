"""What a dataset reader returns, the samples of one split and their images, and what readers share."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from store.errors import BadImage, BadValue
from store.habits import SPLITS
from store.samples import Samples, Targets

MAX_BYTES = 1 << 31
"""Of an image file: more is no picture that fits the memory."""


@dataclass(frozen=True)
class Images:
    samples: Samples
    read: Callable[[int], "bytes | np.ndarray"]
    """Sample row -> the bytes of its file, or the picture itself, (H, W, 3) uint8 RGB."""
    absent: Sequence[int] = ()
    """Rows whose file is listed, but not there, or is no regular file; their size is 0."""
    top: Path | None = None
    """The folder that holds these files and nothing of other datasets: its further images are too many."""
    times: np.ndarray | None = None
    """(N,) int64: when the files changed last, as of when they were compared with what is stored."""
    changed: int = 0
    """How many hold other pictures than what is stored under their names."""


def hashed_split(sample: str) -> str:
    """train, val or test (60, 20, 20 %) by the sample's own name: fixed, and other samples change nothing."""
    bucket = int.from_bytes(hashlib.sha256(sample.encode()).digest()[:4], "big") % 10
    return SPLITS[0 if bucket < 6 else 1 if bucket < 8 else 2]


def array_images(samples: Samples, pictures: Sequence[np.ndarray]) -> Images:
    """Images that a package holds in memory."""
    return Images(samples, lambda row: pictures[row])


def file_images(dataset: str, split: str, top: Path, ids: Sequence[str], targets: Iterable[Targets]) -> Images:
    """Images that lie in files: an id is a path relative to `top`.

    Raises: BadValue: no images; an id that occurs twice, or leads out of `top` (links in it may point anywhere).
    """
    if not ids:
        raise BadValue(f"{top}: no images for the split {split}")
    sizes, absent = np.zeros(len(ids), np.int64), []
    plain = [check_inside(sample, top) for sample in ids]
    if len(set(plain)) < len(ids):
        twice = next(sample for sample, count in Counter(plain).items() if count > 1)
        raise BadValue(f"{dataset}/{split}: {twice!r} is listed twice")
    for row, sample in enumerate(ids):
        try:
            status = os.stat(top / sample)  # noqa: PTH116 -- twice as fast
        except OSError:
            absent.append(row)
            continue
        if stat.S_ISREG(status.st_mode):
            sizes[row] = status.st_size
        else:
            absent.append(row)
    samples = Samples(dataset, split, ids, sizes, {target.column: target for target in targets})
    return Images(samples, lambda row: read_file(top / ids[row]), absent, top)


def check_inside(path: str, top: Path) -> str:
    """A relative path as it stands in a list from outside, in its plain form: `./a//b.png` is `a/b.png`.

    Raises: BadValue: it leads out of `top`, or may.
    """
    parts = PurePosixPath(path.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or not parts.parts or "\0" in path or parts.parts[0].endswith(":"):
        raise BadValue(f"{path!r} is not a path below {top}: paths in a list are relative to it, without ..")
    return parts.as_posix()


def read_file(file: Path) -> bytes:
    """The bytes of a regular file: a pipe would be waited for, and a device has no end. Raises `BadImage`."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BadImage(f"{file} is no regular file, but a folder, a pipe, a socket or a device")
        if status.st_size > MAX_BYTES:
            raise BadImage(f"{file} has {status.st_size} bytes: no more than {MAX_BYTES} are read")
        return file.read_bytes()
    except OSError as error:
        raise BadImage(f"{file}: {error.strerror}") from error


def need(dataset: str, file: Path, how: str) -> Path:
    """The file or folder, or `BadValue` with how to get it: it is not there, or a pipe or device is in its place."""
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise BadValue(f"dataset {dataset}: {file} is neither a file nor a folder. {how}")
    if not file.exists():
        raise BadValue(f"dataset {dataset}: {file} does not exist. {how}")
    return file
