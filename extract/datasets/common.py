"""What a dataset reader returns, the samples of one split and their images, and what readers share."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from extract.datasets import warn_once
from store.errors import BadImage, BadValue
from store.samples import Samples, Targets

SPLITS = ("train", "val", "test")
SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".jp2",
        ".png",
        ".bmp",
        ".gif",
        ".webp",
        ".avif",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
    }
)
"""Files that count as images."""
UNREAD = frozenset({".heic", ".heif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".svg", ".psd", ".dcm"})
"""Files that are pictures too, but that nothing here reads: they are left out, with a warning."""


@dataclass(frozen=True)
class Images:
    samples: Samples
    read: Callable[[int], "bytes | np.ndarray"]
    """Sample row -> the bytes of its file, or the picture itself, (H, W, 3) uint8 RGB."""
    absent: Sequence[int] = ()
    """Rows whose file is listed, but not there; their size is 0."""
    top: Path | None = None
    """The folder that holds these files and nothing of other datasets: its further images are too many."""
    times: np.ndarray | None = None
    """(N,) int64: when the files changed last, as of when they were compared with what is stored."""


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
            sizes[row] = os.stat(top / sample).st_size  # noqa: PTH116 -- twice as fast
        except OSError:
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
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadImage(f"{file}: {error.strerror}") from error


def need(dataset: str, file: Path, how: str) -> Path:
    """The file or folder, or `BadValue` with how to get it."""
    if not file.exists():
        raise BadValue(f"dataset {dataset}: {file} does not exist. {how}")
    return file


def image_files(folder: Path, top: Path) -> list[str]:
    """Image files below a folder, relative to `top`, sorted; links are followed. Raises `BadValue`."""

    def failed(error: OSError) -> None:
        raise BadValue(f"{error.filename} cannot be read: {error.strerror}") from error

    found, unread = [], list[str]()
    for where, below, names in os.walk(folder, followlinks=True, onerror=failed):
        here = os.path.realpath(where)
        for name in below:
            if (here + os.sep).startswith(os.path.realpath(os.path.join(where, name)) + os.sep):  # noqa: PTH118
                raise BadValue(f"{Path(where, name)} links to a folder that it lies in")
        inside = Path(where).relative_to(top).as_posix()
        found += [
            _text(name if inside == "." else f"{inside}/{name}", where)
            for name in names
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
        unread += [name for name in names if Path(name).suffix.lower() in UNREAD and not name.startswith(".")]
    if unread:
        warn_once(f"{folder}: {len(unread)} pictures are left out, of kinds that are not read here: {short(unread, 3)}")
    return sorted(found)


def folders(top: Path) -> list[str]:
    """Names of the folders in `top`, sorted; hidden ones and what a Mac's zip adds do not count. Raises `BadValue`."""
    try:
        found = [entry.name for entry in os.scandir(top) if entry.is_dir()]
        return sorted(name for name in found if not name.startswith(".") and name != "__MACOSX")
    except OSError as error:
        raise BadValue(f"{top} cannot be read: {error.strerror}") from error


def short(names: Sequence[str], count: int = 8) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def _text(name: str, where: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BadValue(f"{os.fsencode(name)!r} in {where}: this file name is not UTF-8; rename the file") from None
    return name
