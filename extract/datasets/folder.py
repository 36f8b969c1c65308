"""Your own images in folders: PATH/CLASS/..., or PATH/{train,val,test}/CLASS/... where there is a train folder.

Beside train, a folder of any name that holds folders of classes is a split: valid, ood. Without split folders the
images are split 60/20/20 by the hash of their path: `common.hashed_split`.
"""

from pathlib import Path

from extract.datasets.common import SPLITS, SUFFIXES, Images, file_images, folders, hashed_split, image_files, short
from store.errors import BadValue
from store.keys import dataset_name
from store.samples import Targets

LIKE_SPLITS = frozenset({*SPLITS, "training", "valid", "validation", "dev", "testing"})
"""Folders of these names, in small letters or capitals, are hardly classes."""


def splits(path: Path) -> tuple[str, ...]:
    return _split_folders(path) or SPLITS


def open_split(_dataset: str, split: str, path: Path) -> Images:
    in_folders = _split_folders(path)
    top = path / split if in_folders else path
    classes = _all_classes(path, in_folders)
    extra = sorted(set(_classes(top)) - set(classes))
    if extra:
        raise BadValue(
            f"{top / extra[0]}: class {extra[0]!r} is in {split}, but not in train; train has {short(classes)}"
        )
    files: list[tuple[str, str]] = []
    for name in classes:
        below = image_files(top / name, top) if (top / name).is_dir() else []
        if not below and not in_folders:
            raise BadValue(
                f"{top / name}: this class folder has no images ({', '.join(sorted(SUFFIXES))}); remove it, or add some"
            )
        files += [(file, name) for file in below if in_folders or hashed_split(file) == split]
    if not files and not in_folders:
        raise BadValue(
            f"{path}: by the hash of their paths none of its few images is in {split}; make the folders "
            f"{', '.join(SPLITS)} yourself, with a folder for each class in them"
        )
    label = Targets.from_names("label", [name for _, name in files], classes)
    return file_images(dataset_name(f"folder:{path}"), split, top, [file for file, _ in files], [label])


def _split_folders(path: Path) -> tuple[str, ...]:
    """The folders that are splits, train, val and test first; none: the folders are classes.

    Raises: BadValue: they look like splits, but have other names than train, val and test.
    """
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise BadValue(f"dataset folder:{path}: {path} {what}")
    found = folders(path)
    if "train" in found and folders(path / "train"):
        order = [*SPLITS, *sorted(set(found) - set(SPLITS))]
        return tuple(name for name in order if name in found and (name in SPLITS or folders(path / name)))
    if found and set(found) <= set(SPLITS):
        return tuple(name for name in SPLITS if name in found)
    like = [name for name in found if name.casefold() in LIKE_SPLITS and folders(path / name)]
    if like:
        raise BadValue(
            f"{path} has the folder{'s' * (len(like) > 1)} {', '.join(like)}, with folders inside: name the splits "
            f"{', '.join(SPLITS)}, or make one folder for each class"
        )
    return ()


def _all_classes(path: Path, in_folders: tuple[str, ...]) -> list[str]:
    """Those of train, the others may have fewer; without train, those of any split."""
    if not in_folders:
        return _classes(path)
    first = in_folders[:1] if in_folders[0] == "train" else in_folders
    return sorted({name for split in first for name in _classes(path / split)})


def _classes(top: Path) -> list[str]:
    names = folders(top)
    if not names:
        raise BadValue(
            f"{top}: no class folders; put the images of each class into a folder of its own, or list them: csv:FILE"
        )
    return names
