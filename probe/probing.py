"""One row of the table: open the features, train the grid, choose, refit, score, keep head and record."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from probe import ranks
from probe.config import ProbeConfig
from probe.data import Data
from probe.features import DEFAULT_STEPS, Block, parse_features
from probe.keep import cost, keep_head, keep_predictions, keep_record
from probe.memory import hold
from probe.metrics import Predictions, predict, summarise
from probe.roles import find_roles
from probe.select import Choice, choose
from probe.solvers import SOLVERS, Settings
from probe.splits import Split, check_same_backbones, check_trained, class_names, open_split
from probe.sub import average, only_block, together
from store.errors import BadValue
from store.head_networks import check_networks
from store.heads import load_head
from store.overlap import check_apart, kept_together
from store.root import Root
from store.source import check_source

log = logging.getLogger("probe")


def pick_device(name: str) -> torch.device:
    """`auto` is the first GPU where there is one. Raises `BadValue`: a device that torch does not know or have."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadValue(f"--device {name}: not on this machine; try --device cpu") from error
    return device


def probe(root: Root, config: ProbeConfig, features: str) -> list[dict[str, Any]]:
    """Probe one concatenation. Returns its row, and with `sub` two more: JSON values, as in the records it writes.

    Raises `UserError`: features are missing, classes are fewer than two, an option cannot be used.
    """
    start = time.monotonic()
    device = pick_device(config.device)
    raw = SOLVERS[config.solver].raw and config.batch_norm != "none"
    blocks = parse_features(root, config.dataset, config.train, features, () if raw else DEFAULT_STEPS)
    settings = _settings(root, config)
    splits, pairs = _open(root, config, settings, blocks, device)
    settings = replace(settings, pairs=pairs)
    classes = _classes(config, splits)
    check_trained(splits, classes, config)
    _check_heads(config, settings, classes, splits["train"])
    overlap = check_apart({role: (one.x, one.rows) for role, one in splits.items()}, allowed=config.allow_duplicates)
    opened = time.monotonic()
    unit_N = _units(splits)
    choice = _choose(config, settings, blocks, {role: split.data for role, split in splits.items()}, unit_N)
    trained = time.monotonic()
    scored = splits["test"].data.prepared_by(choice.data.prepare)
    (predictions,) = predict([choice.fit.head], scored, known := np.unique(choice.data.labels))
    row = {
        "features": ",".join(map(str, blocks)),
        "dim": scored.dim,
        "num_parameters": choice.fit.head.num_parameters,
        **_asked(config),
        "selection": choice.how,
        "weight_decay": choice.fit.weight_decay,
        **choice.fit.extra,
        **cost(splits["test"].x.parts),
        **_metrics(config, splits["test"], predictions, classes, known),
        "val_top1": choice.val_top1,
        "optimism_gap": choice.optimism_gap,
        **({"epoch": choice.epoch} if choice.epoch else {}),
        "grid": choice.grid,
        "certificate": dict(choice.fit.certificate),
        **({"overlap": overlap} if overlap else {}),
        "seconds": {"open": opened - start, "train": trained - opened, "score": time.monotonic() - trained},
    }
    rows = [_keep(root, config, blocks, splits, classes, choice, predictions, row)]
    return rows + (_sub(root, config, settings, blocks, splits, classes) if config.sub else [])


def _asked(config: ProbeConfig) -> dict[str, Any]:
    elsewhere = {"test_dataset": config.test_dataset} if config.test_dataset else {}
    return {
        "dataset": config.dataset,
        **elsewhere,
        "target": config.target,
        "solver": config.solver,
        "select": config.select,
    }


def _settings(root: Root, config: ProbeConfig) -> Settings:
    solver = SOLVERS[config.solver]
    return Settings(
        weight_decay=config.weight_decay or solver.weight_decay,
        lr=config.lr or solver.lr,
        seeds=config.seeds or solver.seeds,
        epochs=config.epochs or solver.epochs,
        batch=config.batch or solver.batch,
        batch_norm=config.batch_norm,
        decay_batch_norm=config.decay_batch_norm,
        average=tuple(load_head(root, name) for name in config.average),
        k=config.k,
        temperature=config.temperature,
        tolerance=config.tolerance,
        precision="float32" if config.memory and config.precision == "auto" else config.precision,
        seed=config.seed,
    )


def _open(
    root: Root, config: ProbeConfig, settings: Settings, blocks: list[Block], device: torch.device
) -> tuple[dict[str, Split], int]:
    """The splits by role, and how many curvature pairs fit beside them.

    Where there is no val (`find_roles`), a part of train takes its place.
    """
    used = (config.train,) if config.test_dataset else (config.train, config.test)
    roles = find_roles(root, config.dataset, train=config.train, val=config.val, test=config.test, used=used)
    elsewhere = {"test": config.test_dataset} if config.test_dataset else {}
    first = {
        role: open_split(root, config, split, blocks, None, device)
        for role, split in roles.items()
        if role not in elsewhere
    }
    classes = _classes(config, first)
    splits = {
        role: open_split(root, config, split, blocks, classes, device, dataset=elsewhere.get(role))
        for role, split in roles.items()
    }
    check_same_backbones(splits)
    check_source(root, config.dataset, {roles[role]: one.x for role, one in splits.items() if role not in elsewhere})
    for role, dataset in elsewhere.items():
        check_source(root, dataset, {roles[role]: splits[role].x})
    members = len(settings.weight_decay) * max(1, len(settings.lr)) * len(settings.seeds)
    if config.views == 1:
        return hold(splits, config.memory, config.solver, len(classes), members, settings.batch)
    views = {
        f"view {view}": open_split(root, config, config.train, blocks, classes, device, view)
        for view in range(config.views - 1, 0, -1)  # the last first: what it lacks is told with the --views to extract
    }
    held, pairs = hold({**splits, **views}, config.memory, config.solver, len(classes), members, settings.batch)
    pieces = tuple(held[role].data.pieces for role in ("train", *reversed(views)))
    train = replace(held["train"], data=replace(held["train"].data, views=pieces))
    return {**{role: held[role] for role in splits}, "train": train}, pairs


def _classes(config: ProbeConfig, splits: Mapping[str, Split]) -> tuple[str, ...]:
    """Those of the heads: a test set from another dataset adds none."""
    roles = [role for role in splits if role != "test" or not config.test_dataset]
    return class_names([splits[role].target for role in roles])


def _check_heads(config: ProbeConfig, settings: Settings, classes: tuple[str, ...], train: Split) -> None:
    """Raise `BadValue` unless the heads to average are linear, for these classes, and of these networks."""
    sets = [part.manifest for part in train.x.parts]
    sizes = [len(head.info.get("features") or [None]) for head in settings.average]
    for name, head in zip(config.average, settings.average, strict=True):
        if head.info.get("normalise") or head.arrays:
            raise BadValue(f"--average {name}: this head is not linear in the stored features (cosine, or l2)")
        known = tuple(head.info.get("classes") or classes)
        if known != classes:
            raise BadValue(
                f"--average {name}: this head has {len(known)} classes ({', '.join(known[:3])}, ...), "
                f"{config.dataset} has {len(classes)} ({', '.join(classes[:3])}, ...)"
            )
    if sum(sizes) == len(sets):  # else what averages them says what does not fit
        for name, head, size in zip(config.average, settings.average, sizes, strict=True):
            check_networks(f"--average {name}", head.info, sets[:size])
            sets = sets[size:]


def _units(splits: Mapping[str, Split]) -> np.ndarray | None:
    """(n,) int64 over the rows of train, then val: those with the same number are held out together."""
    return kept_together([(splits[role].x, splits[role].rows) for role in ("train", "val") if role in splits])


def _choose(
    config: ProbeConfig, settings: Settings, blocks: list[Block], data: Mapping[str, Data], unit_N: np.ndarray | None
) -> Choice:
    return choose(
        config.solver, settings, blocks, data["train"], data.get("val"), data["test"],
        select=config.select, folds=config.folds, seed=config.seed, unit_N=unit_N,
    )  # fmt: skip


def _metrics(
    config: ProbeConfig, test: Split, predictions: Predictions, classes: tuple[str, ...], trained: np.ndarray
) -> dict[str, Any]:
    group = test.x.samples.target(config.group) if config.group else None
    return {
        "num_classes": len(classes),
        **summarise(
            predictions,
            classes,
            probabilities=SOLVERS[config.solver].probabilities,
            trained=trained,
            group_N=group.index[test.rows] if group else None,
            groups=group.classes if group else (),
        ),
    }


def _keep(
    root: Root, config: ProbeConfig, blocks: list[Block], splits: dict[str, Split], classes: tuple[str, ...],
    choice: Choice | None, predictions: Predictions, row: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Store what is asked for, once for all ranks; returns the row with the ids."""
    if not ranks.is_first():
        return row
    head = keep_head(root, config, blocks, classes, choice, splits) if choice else None
    record = keep_record(root, config, splits, row, head)
    row = {**row, "head": head, "record": record.id}
    if config.predictions:
        row["predictions"] = keep_predictions(root, record.id, splits["test"], classes, predictions)
    return row


def _sub(
    root: Root,
    config: ProbeConfig,
    settings: Settings,
    blocks: list[Block],
    splits: dict[str, Split],
    classes: tuple[str, ...],
) -> list[dict[str, Any]]:
    """Two rows: separate heads, each chosen alone, averaged by logits and by probabilities."""
    start = time.monotonic()
    choices = []
    for index, block in enumerate(blocks):
        data = {role: only_block(split.data, index) for role, split in splits.items()}
        choices.append(_choose(config, settings, [block], data, _units(splits)))
    trained = time.monotonic()
    heads = [average(choices, blocks, of) for of in ("logits", "probabilities")]
    scored = splits["test"].data.prepared_by(together([choice.data.prepare for choice in choices]))
    rows = []
    known = np.unique(choices[0].data.labels)
    for head, predictions in zip(heads, predict(heads, scored, known), strict=True):
        row = {
            "features": f"{','.join(map(str, blocks))} (sub, {head.of})",
            "dim": scored.dim,
            "num_parameters": head.num_parameters,
            **_asked(config),
            "selection": f"{choices[0].how}; a head for each block, their {head.of} averaged",
            "weight_decay": None,
            "weight_decays": [choice.fit.weight_decay for choice in choices],
            **cost(splits["test"].x.parts),
            **_metrics(config, splits["test"], predictions, classes, known),
            "val_top1": None,
            "optimism_gap": None,
            "seconds": {"train": trained - start, "score": time.monotonic() - trained},
        }
        rows.append(_keep(root, config, blocks, splits, classes, None, predictions, row))
    return rows
