"""Your own images in folders: PATH/CLASS/..., or PATH/{train,val,test}/CLASS/... where there is a train folder.

Without split folders the images are split 60/20/20 by the hash of their path: `common.hashed_split`.
"""

from pathlib import Path

from extract.datasets.common import SPLITS, SUFFIXES, Images, file_images, folders, hashed_split, image_files, short
from store.errors import BadValue
from store.keys import dataset_name
from store.samples import Targets


def splits(path: Path) -> tuple[str, ...]:
    _check(path)
    return tuple(split for split in SPLITS if (path / split).is_dir()) if (path / "train").is_dir() else SPLITS


def open_split(_dataset: str, split: str, path: Path) -> Images:
    in_folders = (path / "train").is_dir()
    top = path / split if in_folders else path
    classes = _classes(path / "train" if in_folders else path)
    extra = sorted(set(_classes(top)) - set(classes))
    if extra:
        raise BadValue(
            f"{top / extra[0]}: class {extra[0]!r} is in {split}, but not in train; train has {short(classes)}"
        )
    files: list[tuple[str, str]] = []
    for name in classes:
        below = image_files(top / name, top) if (top / name).is_dir() else []
        if not below and not in_folders:
            raise BadValue(f"{top / name}: this class folder has no images ({', '.join(sorted(SUFFIXES))})")
        files += [(file, name) for file in below if in_folders or hashed_split(file) == split]
    label = Targets.from_names("label", [name for _, name in files], classes)
    return file_images(dataset_name(f"folder:{path}"), split, top, [file for file, _ in files], [label])


def _check(path: Path) -> None:
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise BadValue(f"dataset folder:{path}: {path} {what}")


def _classes(top: Path) -> list[str]:
    _check(top)
    names = folders(top)
    if not names:
        raise BadValue(f"{top}: no class folders; put the images of each class into a folder of its own")
    return names
