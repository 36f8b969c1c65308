"""What a search works on: the backbones, and the rows that heads are fitted and scored on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from probe.config import ProbeConfig
from probe.data import Streamed
from probe.features import Block, column_ranges
from probe.folds import held_fifth, stratified
from probe.keep import cost
from probe.roles import find_roles
from probe.search.grams import Grams, Rows
from probe.search.normal import Source, assemble
from probe.search.scores import Scored
from probe.splits import Split, check_same_backbones, check_trained, class_names, open_split
from store.errors import BadValue
from store.overlap import check_apart, kept_together
from store.root import Root
from store.samples import Targets
from store.source import check_source


@dataclass(frozen=True)
class Candidates:
    blocks: list[Block]
    splits: dict[str, Split]
    """By role: train, val where there is one, test where it is asked for."""
    classes: tuple[str, ...]
    ranges: list[tuple[int, int]]
    overlap: dict[str, int]
    """Images that two splits share, where that is allowed: {"train/test": 3}."""

    @property
    def dims(self) -> list[int]:
        return [high - low for low, high in self.ranges]

    def costs(self, members: Sequence[int]) -> dict[str, float]:
        """dim, stored_bytes over the splits, and of the backbones together what their manifests tell."""
        found: dict[str, float] = {"dim": sum(self.dims[i] for i in members), "stored_bytes": 0}
        for split in self.splits.values():
            sets = {split.x.parts[i].manifest.fingerprint: split.x.parts[i] for i in members}
            size = sum(one.shape[0] * one.dim * np.dtype(one.manifest.dtype).itemsize for one in sets.values())
            found["stored_bytes"] += size
        return found | cost(sets.values())


def open_candidates(
    root: Root, config: ProbeConfig, blocks: list[Block], device: torch.device, *, test: bool
) -> Candidates:
    """Where there is no val (`find_roles`), a part of train takes its place.

    Raises: BadValue: fewer than two candidates, steps that a Gram matrix does not hold, a test split that is trained
    on, more folds than samples; what opening raises.
    """
    blocks = list(dict.fromkeys(blocks))
    if len(blocks) < 2:
        raise BadValue(
            f"--features {blocks[0]} is one candidate; a search needs two or more: a,b,c or globs such as 'a*'"
        )
    if odd := [str(block) for block in blocks if block.steps not in ((), ("std",))]:
        raise BadValue(f"--features {odd[0]}: a search takes standardised blocks (the default), :raw and [low:high]")
    used = (config.train, config.test)
    roles = find_roles(root, config.dataset, train=config.train, val=config.val, test=config.test, used=used)
    if not test:
        del roles["test"]
    first = [open_split(root, config, split, blocks, None, device) for split in roles.values()]
    classes = class_names([split.target for split in first])
    splits = {role: open_split(root, config, split, blocks, classes, device) for role, split in roles.items()}
    check_trained(splits, classes, config)
    check_same_backbones(splits)
    check_source(root, config.dataset, {roles[role]: one.x for role, one in splits.items()})
    overlap = check_apart({role: (one.x, one.rows) for role, one in splits.items()}, allowed=config.allow_duplicates)
    count = sum(len(split.rows) for role, split in splits.items() if role != "test")
    if config.select == "kfold" and config.folds > count:
        raise BadValue(f"--folds {config.folds}: there are {count} samples in train and val; at most so many folds")
    return Candidates(blocks, splits, classes, column_ranges(splits["train"].x, blocks), overlap)


@dataclass(frozen=True)
class _Part:
    """One split's rows in parts."""

    split: Split
    ranges: list[tuple[int, int]]
    grams: Grams
    classes: np.ndarray

    def source(self, parts: Sequence[int]) -> Source:
        return Source(self.grams, self.split.x.parts, tuple(parts), self.classes)

    def scored(self, part: int) -> np.ndarray:
        """Rows of the concatenation in a part."""
        return np.flatnonzero(self._part_N == part)

    @property
    def _part_N(self) -> np.ndarray:
        rows, part_N = self.split.x.rows, self.grams.rows.part_N
        return part_N if rows is None else part_N[rows]

    def load(self, rows: np.ndarray) -> np.ndarray:
        held: np.ndarray = Streamed(self.split.x, self.ranges).load(rows).x_ND.numpy()
        return held

    def labels(self, rows: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.classes[self.split.target.index[rows]]
        return found


@dataclass(frozen=True)
class Drawn:
    """Which rows fit and which are scored in each round of `--select`."""

    targets: dict[str, Targets]
    """By role: train, and val where there is one."""
    known: dict[str, np.ndarray]
    """Rows of the sets that have a class."""
    part_N: np.ndarray
    """The part of each known row, all roles one after the other."""
    plan: list[tuple[list[int], int]]
    """Of each round the parts that fit, and the part that is scored."""
    held: list[int]
    """Of each round how many rows are scored; units make these unequal."""


def draw(found: Candidates, config: ProbeConfig) -> Drawn:
    """The rounds of `--select`, as `python -m probe` has them.

    Folds are drawn over the rows that have a class; what a backbone could not read is left out of them.
    """
    targets: dict[str, Targets] = {
        role: found.splits[role].x.parts[0].samples.target(config.target)
        for role in ("train", "val")
        if role in found.splits
    }
    tables = _tables(found, targets)
    known = {role: np.flatnonzero(target.index >= 0) for role, target in targets.items()}
    labels = {role: tables[role][target.index[known[role]]] for role, target in targets.items()}
    if config.select == "kfold":
        unit_N = _units([found.splits[role] for role in targets], list(known.values()))
        drawn = stratified(np.concatenate(list(labels.values())), config.folds, config.seed, unit_N)
        held = np.unique(drawn[drawn >= 0]).tolist()
        if not held:
            raise BadValue("--select kfold: no class has two samples that could be parted; give a --val split")
        if (drawn < 0).any():  # part 0 is never held out
            drawn, held = drawn + 1, [k + 1 for k in held]
        plan = [([part for part in range(max(held) + 1) if part != k], k) for k in held]
    elif "val" in targets:
        drawn, plan = np.zeros(sum(map(len, known.values())), np.int64), [([0], 0)]
        return Drawn(targets, known, drawn, plan, [len(known["val"])])
    else:
        unit_N = _units([found.splits["train"]], [known["train"]])
        held_N = held_fifth(labels["train"], config.seed, unit_N)
        drawn, plan = np.where(held_N, 0, 1), [([1], 0)]
    return Drawn(targets, known, drawn, plan, [int((drawn == held).sum()) for _, held in plan])


def _tables(found: Candidates, targets: Mapping[str, Targets]) -> dict[str, np.ndarray]:
    """By role: the class of the search for each class of the split's own target."""
    index = {name: i for i, name in enumerate(found.classes)}
    return {role: np.array([index[name] for name in target.classes], np.int64) for role, target in targets.items()}


def rounds(
    root: Root, found: Candidates, drawn: Drawn, device: torch.device, *, kfold: bool
) -> tuple[list[Scored], int]:
    """What each round fits and scores, and how many pairs of Gram blocks had to be made."""
    tables = _tables(found, drawn.targets)
    parts, made, edge = {}, 0, 0
    for role, target in drawn.targets.items():
        known = drawn.known[role]
        rows = _rows(target, known, drawn.part_N[edge : edge + len(known)])
        edge += len(known)
        parts[role] = _Part(
            found.splits[role], found.ranges, Grams(root, found.splits[role].x, rows, device), tables[role]
        )
    fit = list(parts.values()) if kfold else [parts["train"]]
    score = fit if kfold else [parts.get("val", parts["train"])]
    for part in fit:
        made += part.grams.make()
    return [_round(found, fit, score, *one) for one in drawn.plan], made


def _units(splits: Sequence[Split], known: Sequence[np.ndarray]) -> np.ndarray | None:
    """(n,) int64: rows of the sets with the same number are held out together, as `kept_together` finds them.

    Args:
        known: of each split, the rows of its sets that have a class. Those that a backbone could not read stand alone.
    """
    label = kept_together([(split.x, split.rows) for split in splits])
    if label is None:
        return None
    found, edge, alone = [], 0, -1
    for split, rows in zip(splits, known, strict=True):
        sets = split.rows if split.x.rows is None else split.x.rows[split.rows]
        unit_N = alone - np.arange(split.x.parts[0].shape[0])
        unit_N[sets] = label[edge : edge + len(sets)]
        found.append(unit_N[rows])
        edge, alone = edge + len(sets), alone - len(unit_N)
    return np.concatenate(found)


def _rows(target: Targets, known: np.ndarray, drawn: np.ndarray) -> Rows:
    part_N = np.full(len(target.index), -1, np.int16)
    part_N[known] = drawn
    return Rows(part_N, target)


def _round(found: Candidates, fit: Sequence[_Part], score: Sequence[_Part], parts: Sequence[int], held: int) -> Scored:
    normal = assemble(found.blocks, found.ranges, [part.source(parts) for part in fit], len(found.classes))
    rows = [part.scored(held) for part in score]
    x_ND = np.concatenate([part.load(one) for part, one in zip(score, rows, strict=True)])
    return Scored(normal, x_ND, np.concatenate([part.labels(one) for part, one in zip(score, rows, strict=True)]))
