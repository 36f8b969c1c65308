"""Datasets by name: `table.py` has their rows, the files beside it read them. Importing this costs nothing."""

import logging
import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from extract.datasets.table import DATASETS, DatasetSpec
from store.errors import BadImage, BadValue, UnknownName
from store.keys import user_path
from store.target_kinds import warn_of_no_classes

if TYPE_CHECKING:
    from extract.datasets.common import Images

log = logging.getLogger("extract.datasets")

__all__ = [
    "DATASETS",
    "DatasetSpec",
    "default_data_root",
    "find_dataset",
    "is_present",
    "open_dataset",
    "splits_of",
    "warn_once",
]


@cache
def warn_once(text: str) -> None:
    """A split is opened, and its folders are read, more than once in a run."""
    log.warning(text)


def default_data_root() -> str:
    """$DATA_ROOT, else data/images."""
    return os.environ.get("DATA_ROOT") or "data/images"


def find_dataset(name: str, data_root: str | Path | None = None) -> tuple[DatasetSpec, Path]:
    """The row of `--dataset` and where its images are. Raises `UnknownName` with the nearest names.

    They are in the row's folder below the data root, or in the data root itself where that is the row's folder.
    """
    kind, colon, path = name.partition(":")
    row = next((row for row in DATASETS if colon and row.startswith(f"{kind}:")), None)
    if row:
        if not path:
            raise BadValue(f"dataset {name!r}: give the path, {row}")
        return DATASETS[row], user_path(path)
    if name in DATASETS and not colon:
        spec, root = DATASETS[name], user_path(data_root or default_data_root())
        below = root / spec.folder
        direct = not below.exists() and any((root / file).exists() for file in spec.files if not file.startswith("/"))
        return spec, root if direct else below
    raise UnknownName("dataset", name, DATASETS, _hint(name))


def _hint(name: str) -> str:
    """What a name that no row has was perhaps meant to be."""
    path = user_path(name.rpartition(":")[2])
    if path.exists():
        return f"images of your own: --dataset {'folder' if path.is_dir() else 'csv'}:{path}"
    return "see `python -m extract --list-datasets`"


def is_present(name: str, data_root: str | Path | None = None) -> bool:
    """Whether the images of a row of the table seem to be on this machine; opens nothing."""
    spec, place = find_dataset(name, data_root)
    packages = all(find_spec(package) is not None for package in spec.packages)
    return packages and (not spec.files or any((place / file).exists() for file in spec.files))


def splits_of(name: str, data_root: str | Path | None = None) -> tuple[str, ...]:
    """The splits of a dataset, in order; not the parts that have to be named."""
    spec, path = find_dataset(name, data_root)
    splits: tuple[str, ...] = spec.splits or _reader(spec).splits(path)
    return splits


def open_dataset(name: str, split: str, data_root: str | Path | None = None, *, allow_absent: bool = False) -> "Images":
    """Open one split. Raises `UserError` where its images are not on this machine or cannot be used.

    A file that is listed but not there is an error unless `allow_absent`; then reading it raises `BadImage`. A count
    that differs from what was published is told once.
    """
    spec, path = find_dataset(name, data_root)
    splits = splits_of(name, data_root)
    if split not in (*splits, *spec.parts):
        known = (*splits, *spec.parts)
        raise UnknownName(f"split of {name}", split, known, f"there are: {', '.join(known)}")
    images: Images = _reader(spec).open_split(name, split, path)
    if images.absent and not allow_absent:
        first = images.samples.ids[images.absent[0]]
        raise BadImage(
            f"{name}/{split}: {len(images.absent)} of {len(images.samples)} files are not below {images.top or path}, "
            f"or are no regular files, the first is {first!r}. Put them there, or go on without them: --skip-bad"
        )
    for target in images.samples.targets.values() if not spec.splits else ():  # your own
        warn_of_no_classes(target.column, target.classes)
    if len(images.samples) != spec.sizes.get(split, len(images.samples)):
        warn_once(f"{name}/{split}: {len(images.samples)} images, {spec.sizes[split]} were published; what is missing: "
                  f"python -m extract.download --check {name}")  # fmt: skip
    return images


def _reader(spec: DatasetSpec) -> ModuleType:
    return import_module(f"extract.datasets.{spec.reader}")
