"""Images with what training needs to know about them: which rows, their labels, groups, and a split to score on."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from extract.datasets import open_dataset, splits_of
from extract.datasets.common import Images, hashed_split
from extract.training.config import TrainConfig
from store.errors import BadValue
from store.samples import UNIT
from store.target_kinds import check_classes


@dataclass(frozen=True)
class Labelled:
    images: Images
    rows: np.ndarray
    """Rows with a target in every column."""
    labels: Tensor
    """(N, L) int64, a column for each target; -1: none."""
    classes: tuple[tuple[str, ...], ...]
    """Of each column: the names that occur, in the dataset's order; labels count these."""
    groups: Tensor | None
    """(N,) int64, counted among `group_names`; -1: none"""
    group_names: tuple[str, ...]
    """Those that occur in `rows`."""
    targets: dict[str, str]
    """split:column -> hash of the targets that were used."""
    val: tuple[Images, Tensor] | None
    """Images and (N,) labels of the first column, -1 where the class is not one of `classes`."""


def open_labelled(config: TrainConfig, *, columns: tuple[str, ...] | None = None) -> Labelled:
    """Open what `config` trains on. `columns` instead of its targets.

    Raises: UserError: no such dataset, split or column; nothing in it has a label; only one class.
    """
    columns = config.target if columns is None else columns
    splits = splits_of(config.dataset, config.data_root)
    split = config.train or ("base" if "base" in splits else "train")
    images = open_dataset(config.dataset, split, config.data_root)
    found = [images.samples.target(column) for column in columns]
    known = np.ones(len(images.samples), bool)
    for target in found:
        check_classes(target.column, target.classes)
        known &= target.index >= 0
    rows = np.flatnonzero(known)
    where = f"{config.dataset}/{split}"
    if len(rows) < 2:
        raise BadValue(f"{where}: {len(rows)} images have a target in {', '.join(columns)}; two at least are needed")
    labels, classes = [], []
    for target in found:
        present = np.unique(target.index[rows])
        if len(present) < 2:
            raise BadValue(f"{where}: every {target.column} is {target.classes[present[0]]!r}; choose another --target")
        labels.append(_numbered(target.index, present))
        classes.append(tuple(target.classes[index] for index in present))
    group = images.samples.target(config.group) if config.group else None
    groups: Tensor | None = None
    group_names: tuple[str, ...] = ()
    if group is not None:
        rows = rows[group.index[rows] >= 0]
        if not len(rows):
            raise BadValue(f"{where}: no image has a {config.group!r}: name another column with --group")
        present = np.unique(group.index[rows])
        groups = torch.from_numpy(_numbered(group.index, present))
        group_names = tuple(group.classes[index] for index in present)
    return Labelled(
        images=images,
        rows=rows,
        labels=torch.from_numpy(np.stack(labels, 1) if labels else np.zeros((len(images.samples), 0), np.int64)),
        classes=tuple(classes),
        groups=groups,
        group_names=group_names,
        targets={f"{split}:{target.column}": target.hash for target in (*found, *([group] if group else []))},
        val=_validation(config, splits, columns[0], classes[0]) if columns else None,
    )


def hold_out(data: Labelled) -> Labelled:
    """Without a val split: a fifth of the rows, by the samples' own names, is one.

    Where there is a target column `unit`, its names count, so that images of one unit stay together.

    Raises `BadValue`: too few rows.
    """
    samples = data.images.samples
    ids, unit = samples.ids, samples.targets.get(UNIT)
    names = [unit.classes[unit.index[row]] if unit and unit.index[row] >= 0 else ids[row] for row in data.rows]
    # other words than the sample's own name: by that alone datasets were split, and of their train none is in `test`
    held = np.array([hashed_split(f"held out: {name}") == "test" for name in names])
    if held.all() or not held.any():
        raise BadValue(f"{len(held)} images are too few to choose on a fifth of them: give one --lr and --weight-decay")
    labels = torch.full((len(ids),), -1)
    labels[data.rows[held]] = data.labels[data.rows[held], 0]
    return replace(data, rows=data.rows[~held], val=(data.images, labels))


def _numbered(index: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Class numbers counted among `present`, -1 elsewhere."""
    table = np.full(max(int(present.max()), int(index.max())) + 2, -1, np.int64)
    table[present] = np.arange(len(present))
    numbers: np.ndarray = table[index]  # -1 is the last entry
    return numbers


def _validation(
    config: TrainConfig, splits: tuple[str, ...], column: str, classes: tuple[str, ...]
) -> tuple[Images, Tensor] | None:
    if config.val == "none" or (config.val is None and "val" not in splits):
        return None
    images = open_dataset(config.dataset, config.val or "val", config.data_root)
    target = images.samples.target(column)
    number = {name: at for at, name in enumerate(classes)}
    table = np.array([number.get(name, -1) for name in target.classes] + [-1], np.int64)
    labels = table[target.index]
    if (labels < 0).all():
        if config.val is not None:
            raise BadValue(f"{config.dataset}/{config.val}: none of its images is of a class that is trained on")
        return None  # base and val of a few-shot dataset share no class
    return images, torch.from_numpy(labels)
