"""Your own images in folders: PATH/CLASS/..., or PATH/SPLIT/CLASS/... where the folders are splits.

Splits are train, val, test and others beside train, of the same classes; or base, val and novel, each with classes of
its own, as few-shot work has them. Without split folders the images are split 60/20/20 by the hash of their path:
`common.hashed_split`.
"""

from pathlib import Path

from extract.datasets.common import SPLITS, SUFFIXES, Images, file_images, folders, hashed_split, image_files, short
from store.errors import BadValue
from store.keys import dataset_name
from store.samples import Targets

APART = ("base", "val", "novel")
"""Splits whose classes are not the same ones."""
OTHER_NAMES = {"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}


def splits(path: Path) -> tuple[str, ...]:
    return _split_folders(path) or SPLITS


def open_split(_dataset: str, split: str, path: Path) -> Images:
    found = _split_folders(path)
    top = path / split if found else path
    if not found:
        classes = _classes(path)
    elif "base" in found:
        classes = sorted({name for one in found for name in _classes(path / one)})
    else:
        classes = _classes(path / "train")
        extra = sorted(set(_classes(top)) - set(classes))
        if extra:
            raise BadValue(
                f"{top / extra[0]}: class {extra[0]!r} is in {split}, but not in train; train has {short(classes)}. "
                "Splits with classes of their own, for few-shot work, are base, val and novel: rename the folders"
            )
    files: list[tuple[str, str]] = []
    for name in classes:
        below = image_files(top / name, top) if (top / name).is_dir() else []
        if not below and not found:
            raise BadValue(
                f"{top / name}: this class folder has no images ({', '.join(sorted(SUFFIXES))}); remove it, or add some"
            )
        files += [(file, name) for file in below if found or hashed_split(file) == split]
    if not files and not found:
        raise BadValue(
            f"{path}: by the hash of their paths none of its few images is in {split}; make the folders "
            f"{', '.join(SPLITS)} yourself, with a folder for each class in them"
        )
    label = Targets.from_names("label", [name for _, name in files], classes)
    return file_images(dataset_name(f"folder:{path}"), split, top, [file for file, _ in files], [label])


def _split_folders(path: Path) -> tuple[str, ...]:
    """Those of PATH that are splits; none: its folders are classes. Raises `BadValue` where that is unclear."""
    holders = [name for name in _classes(path) if folders(path / name)]  # a class may be called train or test, too
    known = SPLITS if "train" in holders else APART if "base" in holders else ()
    for name in holders:
        right = OTHER_NAMES.get(name.lower(), name.lower())
        if right in (*SPLITS, *APART) and name not in known:
            raise BadValue(
                f"{path / name} seems to be a split, not a class. Splits are train, val and test; or base, val and "
                f"novel, where each has classes of its own; here {path.name} has {short(holders)}: rename its folders"
            )
    others = [name for name in holders if name not in known] if "train" in holders else []
    return (*(split for split in known if split in holders), *others)


def _check(path: Path) -> None:
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise BadValue(f"dataset folder:{path}: {path} {what}")


def _classes(top: Path) -> list[str]:
    _check(top)
    names = folders(top)
    if not names:
        raise BadValue(
            f"{top}: no class folders; put the images of each class into a folder of its own, or list them: csv:FILE"
        )
    return names
