"""Your own images in folders: PATH/CLASS/..., or PATH/SPLIT/CLASS/... where the folders are splits.

Splits are train, val, test and others beside train, of the same classes; or base, val and novel, each with classes of
its own, as few-shot work has them. Without split folders the images are split 60/20/20 by the hash of their path:
`common.hashed_split`.
"""

import os
from pathlib import Path

from extract.datasets import warn_once
from extract.datasets.common import Images, file_images, hashed_split
from extract.datasets.split_names import as_splits
from extract.datasets.walk import SUFFIXES, folders, image_files, short
from store.errors import BadValue
from store.habits import APART, SPLITS, is_hidden, usual
from store.keys import dataset_name
from store.samples import Targets


def splits(path: Path) -> tuple[str, ...]:
    return tuple(_split_folders(path)) or SPLITS


def open_split(_dataset: str, split: str, path: Path) -> Images:
    found = _split_folders(path)
    top = path / found[split] if found else path
    if not found:
        classes = _classes(path)
    elif "base" in found:
        classes = sorted({name for one in found.values() for name in _classes(path / one)})
    else:
        classes = _classes(path / found["train"])
        extra = sorted(set(_classes(top)) - set(classes))
        if extra:
            raise BadValue(
                f"{top / extra[0]}: class {extra[0]!r} is in {split}, but not in train; train has {short(classes)}. "
                "Splits with classes of their own, for few-shot work, are base, val and novel: rename the folders"
            )
    _warn_of_loose_files(top)
    files: list[tuple[str, str]] = []
    for name, below in image_files(top, [name for name in classes if (top / name).is_dir()]).items():
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


def _split_folders(path: Path) -> dict[str, str]:
    """{split: its folder in PATH}; none: its folders are classes. Raises `BadValue` where that is unclear."""
    classes = _classes(path)
    below = {name: inside for name in classes if (inside := folders(path / name))}
    found = as_splits(below, str(path))  # a class may be called train or test, too: it holds no folders
    known = SPLITS if "train" in found else APART if "base" in found else ()
    for split, name in found.items():
        if split in (*SPLITS, *APART) and split not in known:
            raise BadValue(
                f"{path / name} seems to be a split, not a class. Splits are train, val and test; or base, val and "
                f"novel, where each has classes of its own; here {path.name} has {short(list(below))}: rename its "
                "folders"
            )
    others = [split for split in found if split not in known] if "train" in found else []
    if not known:
        _check_classes(path, classes, below)
    return {split: found[split] for split in (*(split for split in known if split in found), *others)}


def _check_classes(path: Path, classes: list[str], below: dict[str, list[str]]) -> None:
    """Folders that are taken for classes, and look like something else. Raises `BadValue`, or warns."""
    holding = {name: [one for one in inside if usual(one) in SPLITS] for name, inside in below.items()}
    holding = {name: inside for name, inside in holding.items() if inside}
    if holding and len(classes) == 1:
        raise BadValue(f"{path}: its only folder holds the splits {short(holding[classes[0]])}: "
                       f"--dataset folder:{path / classes[0]}")  # fmt: skip
    if holding:
        name, inside = next(iter(holding.items()))
        warn_once(f"{path}: its classes hold the folders {short(inside)} ({name}/{inside[0]}), which are not taken as "
                  "splits: those are above the classes")  # fmt: skip
    if {usual(name) for name in classes} <= {*SPLITS, *APART}:
        warn_once(f"{path}: {short(classes)} are taken as classes, since they hold no class folders")


def _check(path: Path) -> None:
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise BadValue(f"dataset folder:{path}: {path} {what}")


def _loose_files(top: Path) -> list[str]:
    """Images that lie in `top` itself, in no folder."""
    names = [entry.name for entry in os.scandir(top) if Path(entry.name).suffix.lower() in SUFFIXES]
    return sorted(name for name in names if not is_hidden(name) and not (top / name).is_dir())


def _warn_of_loose_files(top: Path) -> None:
    if loose := _loose_files(top):
        warn_once(f"{top}: {len(loose)} images are left out, in no class folder: {short(loose, 3)}")


def _classes(top: Path) -> list[str]:
    _check(top)
    names = folders(top)
    if not names:
        loose = _loose_files(top)
        raise BadValue(
            f"{top}: no class folders"
            + (f", only {len(loose)} images such as {loose[0]}" if loose else "")
            + "; put the images of each class into a folder of its own, or list them in a file with a first line "
            "path,label and a line for each image, its label empty where it has none: --dataset csv:FILE"
        )
    return names
