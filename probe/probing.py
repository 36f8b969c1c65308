"""One row of the table: open the features, train the grid, choose, refit, score, keep head and record."""

import logging
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from probe import ranks
from probe.config import ProbeConfig
from probe.data import Data
from probe.features import Block, parse_features
from probe.heads import LinearHead
from probe.memory import hold
from probe.metrics import predict, summarise
from probe.select import Choice, choose
from probe.solvers import SOLVERS, Settings
from probe.splits import Split, class_names, open_split
from store.errors import BadValue
from store.features import backbones
from store.heads import StoredHead, save_head
from store.keys import dataset_name
from store.records import Record, write_record
from store.root import Root

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


def probe(root: Root, config: ProbeConfig, features: str) -> dict[str, Any]:
    """Probe one concatenation. Returns the row: JSON values, as in the record it writes.

    Raises `UserError`: features are missing, classes are fewer than two, an option cannot be used.
    """
    start = time.monotonic()
    device = pick_device(config.device)
    blocks = parse_features(root, config.dataset, config.train, features)
    splits = _open(root, config, blocks, device)
    train, val, test = splits["train"], splits.get("val"), splits["test"]
    classes = class_names([split.target for split in splits.values()])
    _check_classes(train.data, classes, config)
    opened = time.monotonic()
    settings = Settings(weight_decay=config.weight_decay or SOLVERS[config.solver].weight_decay, seed=config.seed)
    choice = choose(
        config.solver, settings, blocks, train.data, val.data if val else None, test.data,
        select=config.select, folds=config.folds, seed=config.seed,
    )  # fmt: skip
    trained = time.monotonic()
    scored = test.data.prepared_by(choice.data.prepare)
    (predictions,) = predict([choice.fit.head], scored)
    group = test.x.samples.target(config.group) if config.group else None
    metrics = summarise(
        predictions,
        classes,
        probabilities=SOLVERS[config.solver].probabilities,
        group_N=group.index[test.rows] if group else None,
        groups=group.classes if group else (),
    )
    oracle = max(member["test_top1"] for member in choice.grid)
    metrics |= {
        "val_top1": choice.val_top1,
        "optimism_gap": oracle - choice.grid[choice.chosen]["test_top1"],
        "grid": choice.grid,
        "certificate": dict(choice.fit.certificate),
    }
    seconds = {"open": opened - start, "train": trained - opened, "score": time.monotonic() - trained}
    row: dict[str, Any] = {
        "features": ",".join(map(str, blocks)),
        "dim": scored.dim,
        "num_classes": len(classes),
        "num_parameters": choice.fit.head.num_parameters,
        "solver": config.solver,
        "select": config.select,
        "selection": choice.how,
        "weight_decay": choice.fit.weight_decay,
        **choice.fit.extra,
        **metrics,
        "seconds": seconds,
    }
    if ranks.is_first():
        row |= _keep(root, config, blocks, splits, classes, choice, row)
    return row


def _open(root: Root, config: ProbeConfig, blocks: list[Block], device: torch.device) -> dict[str, Split]:
    """The splits by role. Without any features of the val split there is no val: a part of train takes its place."""
    roles = {"train": config.train, "val": config.val, "test": config.test}
    if not backbones(root, dataset_name(config.dataset), config.val):
        del roles["val"]
    first = {role: open_split(root, config, split, blocks, None, device) for role, split in roles.items()}
    classes = class_names([split.target for split in first.values()])
    splits = {role: open_split(root, config, split, blocks, classes, device) for role, split in roles.items()}
    return hold(splits, config.memory)


def _check_classes(train: Data, classes: tuple[str, ...], config: ProbeConfig) -> None:
    present = np.unique(train.labels)
    if len(present) < 2:
        raise BadValue(
            f"{config.dataset}/{config.train}: every {config.target} is {classes[present[0]]!r}; "
            "a head needs at least two classes: choose another --target"
        )
    if len(present) < len(classes):
        log.warning("%d of %d classes have no training sample: their heads only learn to be low",
                    len(classes) - len(present), len(classes))  # fmt: skip


def _keep(
    root: Root, config: ProbeConfig, blocks: list[Block], splits: dict[str, Split], classes: tuple[str, ...],
    choice: Choice, row: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Write head and record; returns their ids."""
    used = [
        {"dataset": m.dataset, "split": m.split, "backbone": m.backbone, "fingerprint": m.fingerprint}
        for split in splits.values()
        for m in (part.manifest for part in split.x.parts)
    ]
    head = _store_head(root, config, blocks, classes, choice) if isinstance(choice.fit.head, LinearHead) else None
    record = write_record(
        root,
        Record(
            kind="probe",
            config={**asdict(config), "features": row["features"]},
            features=used,
            targets={f"{split.target.column}:{role}": split.target.hash for role, split in splits.items()},
            metrics={**{k: v for k, v in row.items() if k != "seconds"}, "head": head},
            seconds=row["seconds"],
        ),
    )
    return {"head": head, "record": record.id}


def _store_head(root: Root, config: ProbeConfig, blocks: list[Block], classes: tuple[str, ...], choice: Choice) -> str:
    prepare = choice.data.prepare
    weight, bias, left = prepare.fold(choice.fit.head.weight, choice.fit.head.bias)
    steps, arrays = left.state()
    info = {
        "dataset": config.dataset,
        "target": config.target,
        "classes": list(classes),
        "features": [str(block) for block in blocks],
        "widths": [high - low for low, high in prepare.columns],
        "steps": steps,
        "solver": config.solver,
        "weight_decay": choice.fit.weight_decay,
    }
    return save_head(root, StoredHead(weight=weight.cpu().numpy(), bias=bias.cpu().numpy(), arrays=arrays, info=info))
