"""Which files below a folder are images of its owner, and which her tools have put there."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from extract.datasets import warn_once
from store.errors import BadValue
from store.habits import is_hidden

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
UNREAD = frozenset(
    {
        *(".heic", ".heif", ".hif", ".jxl", ".j2k", ".jpx", ".tga", ".ico", ".icns", ".pbm", ".pnm", ".pfm", ".exr"),
        *(".hdr", ".dds", ".psd", ".svg", ".eps", ".ai", ".wmf", ".emf", ".dng", ".cr2", ".cr3", ".nef", ".arw"),
        *(".orf", ".rw2", ".raf", ".raw", ".dcm", ".svs", ".ndpi", ".mrxs", ".nii"),
    }
)
"""Files that are pictures too, but that nothing here reads: they are left out, with a warning."""


def image_files(top: Path, names: Iterable[str]) -> dict[str, list[str]]:
    """For each folder of `top`, the image files in it or deeper, relative to `top`, sorted; links are followed.

    What is left out, hidden or of no kind that is read, is told once. Raises `BadValue`: a folder that cannot be read
    or links to one that it lies in; a name that is not UTF-8.
    """
    hidden = [entry.name for entry in _scan(top) if is_hidden(entry.name) and _is_dir(entry)]
    unread, found = list[str](), {name: list[str]() for name in names}
    for name, files in found.items():
        for file, here in _below(top / name, f"{name}/" if name else "", hidden):
            suffix = os.path.splitext(here)[1].lower()  # noqa: PTH122 -- ten times as fast
            if suffix in SUFFIXES:
                (hidden if is_hidden(here) else files).append(here if is_hidden(here) else _text(file, top))
            elif suffix in UNREAD and not is_hidden(here):
                unread.append(here)
        files.sort()
    if hidden:
        warn_once(f"{top}: {len(hidden)} hidden files and folders are left out: {short(sorted(set(hidden)), 3)}")
    if unread:
        warn_once(f"{top}: {len(unread)} pictures are left out, of kinds that are not read here: {short(unread, 3)}")
    return found


def folders(top: Path) -> list[str]:
    """Names of the folders in `top`, sorted; hidden ones do not count. Raises `BadValue`."""
    return sorted(entry.name for entry in _scan(top) if not is_hidden(entry.name) and _is_dir(entry))


def short(names: Sequence[str], count: int = 8) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def _below(folder: Path, prefix: str, hidden: list[str]) -> Iterator[tuple[str, str]]:
    """(prefix + relative path, name) of every file; hidden folders are not entered, but noted."""
    real = folder.resolve()
    waiting = [(str(folder), prefix, tuple(map(_identity, (real, *real.parents))))]
    while waiting:
        where, prefix, above = waiting.pop()
        for entry in _scan(where):
            if not _is_dir(entry):
                yield prefix + entry.name, entry.name
            elif is_hidden(entry.name):
                hidden.append(entry.name)
            elif (own := _identity(entry)) in above:
                raise BadValue(f"{entry.path} links to a folder that it lies in")
            else:
                waiting.append((entry.path, f"{prefix}{entry.name}/", (*above, own)))


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; whoever reads it says so
        return False


def _identity(folder: "Path | os.DirEntry[str]") -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _scan(folder: "Path | str") -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise BadValue(f"{folder} cannot be read: {error.strerror}") from error


def _text(file: str, top: Path) -> str:
    try:
        file.encode()
    except UnicodeEncodeError:
        raise BadValue(f"{os.fsencode(file)!r} in {top}: this file name is not UTF-8; rename the file") from None
    return file
