"""Groups: which of them train, which tune, which test, and the rows that hold them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from probe.config import ProbeConfig
from probe.features import Block
from probe.folds import held_fifth
from probe.roles import VAL, is_there
from probe.splits import Split, class_names, open_split
from store.errors import BadValue, UnknownName
from store.overlap import check_apart, kept_together
from store.root import Root
from store.source import check_source

log = logging.getLogger("probe")


@dataclass(frozen=True)
class Part:
    """The rows of one role: train, id_val (training groups), ood_val (other groups), test."""

    split: Split
    groups: tuple[str, ...]
    """Those with a row here."""
    group_N: np.ndarray
    """(n,) int64 into `groups`, at the positions of split.data"""


@dataclass(frozen=True)
class Wanted:
    """`COLUMN[=TRAIN[:TUNE[:TEST]]]`, each a list of group names; () where none is named."""

    column: str
    train: tuple[str, ...] = ()
    tune: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


def parse_group(text: str) -> Wanted:
    """`hospital`, or `style=google,twitter:openmoji:noto`. Raises `BadValue`: another form."""
    column, given, rest = text.partition("=")
    parts = [tuple(name.strip() for name in part.split(",") if name.strip()) for part in rest.split(":")]
    if not column.strip() or len(parts) > 3 or (given and not any(parts)):
        raise BadValue(f"--group {text!r}: write COLUMN or COLUMN=TRAIN,TRAIN:TUNE:TEST, such as hospital=0,3,4:1:2")
    return Wanted(column.strip(), *parts)


def open_parts(
    root: Root, config: ProbeConfig, blocks: list[Block], device: torch.device
) -> tuple[dict[str, Part], tuple[str, ...], dict[str, int]]:
    """The rows of each role, not loaded yet, the classes of all, and how many images two roles share.

    id_val is that split where it is stored, else the training groups of val, else a stratified fifth of train. ood_val
    is what val has of other groups; without any it is not among the parts.

    Raises `BadValue`: no groups, one group, a named group that does not exist or has no row where it should.
    """
    wanted = parse_group(config.group or "")
    splits, classes = _open_splits(root, config, blocks, device)
    _check_names(splits, wanted, config)
    train = _named(splits["train"], wanted.column, wanted.train, f"{config.dataset}/{config.train}")
    _check_two(train, wanted, config)
    test = _named(splits["test"], wanted.column, wanted.test, f"{config.dataset}/{config.test}")
    others = _other_groups(splits.get("val"), train, wanted, config)
    inside = _inside(splits, wanted.column, train)
    if inside is None:
        train, inside = _hold_out(train, len(classes), config.seed)
    parts = {"train": train, "id_val": inside, "ood_val": others, "test": test}
    present = {role: part for role, part in parts.items() if part is not None}
    sides = {role: (part.split.x, part.split.rows) for role, part in present.items()}
    return present, classes, check_apart(sides, allowed=config.allow_duplicates)


def _open_splits(
    root: Root, config: ProbeConfig, blocks: list[Block], device: torch.device
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """train, test, and of id_val and val what is stored, with the classes of all."""
    asked = {"train": config.train, "id_val": config.id_val, "val": config.val or VAL, "test": config.test}
    for name in ("id_val", "val"):
        if not is_there(root, config.dataset, asked[name]):
            del asked[name]
    first = {name: open_split(root, config, split, blocks, None, device) for name, split in asked.items()}
    classes = class_names([split.target for split in first.values()])
    splits = {name: open_split(root, config, split, blocks, classes, device) for name, split in asked.items()}
    check_source(root, config.dataset, {asked[name]: one.x for name, one in splits.items()})
    return splits, classes


def _check_names(splits: Mapping[str, Split], wanted: Wanted, config: ProbeConfig) -> None:
    columns = [split.x.samples.target(wanted.column) for split in splits.values()]
    known = tuple(dict.fromkeys(name for column in columns for name in column.classes))
    for name in (*wanted.train, *wanted.tune, *wanted.test):
        if name not in known:
            hint = f"there are: {', '.join(known)}; --group names them"
            raise UnknownName(f"{wanted.column} of {config.dataset}", name, known, hint)


def _part(split: Split, column: str, names: Sequence[str] = ()) -> Part:
    """The rows of these groups, or of any; those without a group are left out."""
    target = split.x.samples.target(column)
    index_N = target.index[split.rows]
    ids = [i for i, name in enumerate(target.classes) if not names or name in names]
    kept = np.flatnonzero(np.isin(index_N, ids))
    return _take(Part(split, target.classes, index_N.astype(np.int64)), kept)


def _take(part: Part, kept: np.ndarray) -> Part:
    split = replace(part.split, data=part.split.data.take(kept), rows=part.split.rows[kept])
    present, group_N = np.unique(part.group_N[kept], return_inverse=True)
    return Part(split, tuple(part.groups[i] for i in present), group_N.astype(np.int64))


def _named(split: Split, column: str, names: Sequence[str], where: str) -> Part:
    """As `_part`; every named group has a row, and there is one at all."""
    part = _part(split, column, names)
    if missing := [name for name in names if name not in part.groups]:
        have = ", ".join(_part(split, column).groups) or "none"
        raise BadValue(f"{where}: no sample of {column} {missing[0]!r}; it has: {have}")
    if not len(part.group_N):
        raise BadValue(f"{where}: no sample has a {column!r}: name another column with --group")
    return part


def _check_two(train: Part, wanted: Wanted, config: ProbeConfig) -> None:
    where = f"{config.dataset}/{config.train}"
    if len(train.groups) < 2:
        raise BadValue(
            f"{where}: every sample is of {wanted.column} {train.groups[0]!r}; --objective needs two groups to train "
            "on (without it, `python -m probe` trains on all samples alike)"
        )


def _other_groups(val: Split | None, train: Part, wanted: Wanted, config: ProbeConfig) -> Part | None:
    where = f"{config.dataset}/{config.val or VAL}"
    if val is None:
        if wanted.tune:
            raise BadValue(
                f"{where} has no features: extract it (--split {config.val or VAL}), or name a split with --val"
            )
        return None
    if wanted.tune:
        return _named(val, wanted.column, wanted.tune, where)
    present = _part(val, wanted.column).groups
    others = [name for name in present if name not in train.groups]
    return _part(val, wanted.column, others) if others else None


def _inside(splits: Mapping[str, Split], column: str, train: Part) -> Part | None:
    """What id_val, or without it val, has of the training groups."""
    split = splits.get("id_val", splits.get("val"))
    part = None if split is None else _part(split, column, train.groups)
    return part if part is not None and len(part.group_N) else None


def _hold_out(train: Part, num_classes: int, seed: int) -> tuple[Part, Part]:
    """A fifth of train, stratified by group and class, to tune on."""
    unit_N = kept_together([(train.split.x, train.split.rows)])
    held_N = held_fifth(train.group_N * num_classes + train.split.data.labels, seed, unit_N)
    log.warning("no split of the training groups to tune on: a stratified fifth of train is held out")
    return _take(train, np.flatnonzero(~held_N)), _take(train, np.flatnonzero(held_N))


def by_role(parts: Mapping[str, Part], splits: Mapping[str, Split]) -> dict[str, Part]:
    """The same parts with other splits, such as loaded ones."""
    return {role: replace(part, split=splits[role]) for role, part in parts.items()}
