"""Your own images in folders: PATH/CLASS/..., or PATH/{train,val,test}/CLASS/... where there is a train folder.

Without split folders the images are split 60/20/20 by the hash of their path: `common.hashed_split`.
"""

import os
from pathlib import Path

import numpy as np

from extract.datasets.common import SPLITS, Images, hashed_split
from store.errors import BadImage, BadValue
from store.keys import dataset_name
from store.samples import Samples, Targets

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


def splits(path: Path) -> tuple[str, ...]:
    _check(path)
    return tuple(split for split in SPLITS if (path / split).is_dir()) if (path / "train").is_dir() else SPLITS


def open_split(split: str, path: Path) -> Images:
    in_folders = (path / "train").is_dir()
    top = path / split if in_folders else path
    classes = _classes(path / "train" if in_folders else path)
    extra = sorted(set(_classes(top)) - set(classes))
    if extra:
        raise BadValue(
            f"{top / extra[0]}: class {extra[0]!r} is in {split}, but not in train; train has {_short(classes)}"
        )
    files: list[tuple[str, str]] = []
    for name in classes:
        below = _images(top / name, top)
        if not below and not in_folders:
            raise BadValue(f"{top / name}: this class folder has no images ({', '.join(sorted(SUFFIXES))})")
        files += [(file, name) for file in below if in_folders or hashed_split(file) == split]
    if not files:
        raise BadValue(f"{top}: no images for the split {split}")
    ids = [file for file, _ in files]
    sizes = np.array([(top / file).stat().st_size for file in ids])
    label = Targets.from_names("label", [name for _, name in files], classes)
    samples = Samples(dataset_name(f"folder:{path}"), split, ids, sizes, {"label": label})
    return Images(samples, lambda row: _read(top / ids[row]))


def _check(path: Path) -> None:
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise BadValue(f"dataset folder:{path}: {path} {what}")


def _classes(top: Path) -> list[str]:
    _check(top)
    try:
        names = sorted(entry.name for entry in os.scandir(top) if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise BadValue(f"{top} cannot be read: {error.strerror}") from error
    if not names:
        raise BadValue(f"{top}: no class folders; put the images of each class into a folder of its own")
    return names


def _images(folder: Path, top: Path) -> list[str]:
    """Image files below a folder, relative to `top`, sorted; links are followed."""

    def failed(error: OSError) -> None:
        raise BadValue(f"{error.filename} cannot be read: {error.strerror}") from error

    found = []
    for where, folders, names in os.walk(folder, followlinks=True, onerror=failed):
        folders.sort()
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                file = Path(where, name)
                found.append(_text(file.relative_to(top).as_posix(), file))
    return sorted(found)


def _text(name: str, file: Path) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BadValue(f"{os.fsencode(file)!r}: this file name is not UTF-8; rename the file") from None
    return name


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadImage(f"{file}: {error.strerror}") from error


def _short(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
