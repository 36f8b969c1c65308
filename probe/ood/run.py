"""The rows of the out-of-distribution table: for each initialisation every objective's grid is trained at once."""

import logging
import time
from dataclasses import replace
from typing import Any

import torch

from probe.config import ProbeConfig
from probe.features import parse_features
from probe.keep import cost
from probe.memory import hold
from probe.ood.groups import Part, by_role, open_parts, parse_group
from probe.ood.rows import tune
from probe.ood.tuning import Watch
from probe.ood.wilds import check_wilds, write_wilds
from probe.probing import pick_device
from probe.roles import VAL
from probe.solvers import SOLVERS
from probe.solvers.grouped import AHEAD, GroupSettings, train
from probe.solvers.members import Member, members_of
from probe.splits import fitted
from store.errors import BadValue
from store.root import Root

log = logging.getLogger("probe")
Row = dict[str, Any]


def parse_row(text: str) -> tuple[str, list[str]]:
    """`[LABEL=]a,b;c,d`: the name of a row of the table, and its initialisations. Raises `BadValue`: none."""
    label, given, rest = text.partition("=")
    inits = [part.strip() for part in (rest if given else text).split(";") if part.strip()]
    if not inits or (given and not label.strip()):
        raise BadValue(f"--features {text!r}: write a,b or LABEL=a,b;c,d (one row of several initialisations)")
    return (label if given else text).strip(), inits


def run_objectives(root: Root, config: ProbeConfig) -> list[Row]:
    """Every row: one for each initialisation and objective, as in the record it writes; JSON values."""
    parsed = [parse_row(text) for text in config.features]
    if config.wilds:
        check_wilds(config)
    rows: list[Row] = []
    for label, inits in parsed:
        for number, features in enumerate(inits):
            rows += probe_groups(root, config, label, features, number)
    return rows


def probe_groups(root: Root, config: ProbeConfig, label: str, features: str, number: int = 0) -> list[Row]:
    """Train and tune one initialisation; returns a row for each objective.

    Raises `UserError`: features are missing, there are no two groups, a named group is not there.
    """
    start = time.monotonic()
    device = pick_device(config.device)
    blocks = parse_features(root, config.dataset, config.train, features)
    parts, classes, overlap = open_parts(root, config, blocks, device)
    if config.select == "ood_val" and "ood_val" not in parts:
        raise BadValue(
            f"--select ood_val: {config.dataset}/{config.val or VAL} has no group that does not train; name the "
            f"groups, --group {parse_group(config.group or '').column}=TRAIN:TUNE:TEST, or take --select id_val"
        )
    members = _members(config)
    splits = {role: part.split for role, part in parts.items()}
    batch = max(config.batch or SOLVERS[config.solver].batch, AHEAD // 2)  # so much is copied of what is read ahead
    held, _ = hold(splits, config.memory, config.solver, len(classes), len(members), batch)
    parts = by_role(parts, held)
    data = fitted(parts["train"].split.data, blocks)
    opened = time.monotonic()
    evaluated = {role: _prepared(part, data.prepare) for role, part in parts.items() if role != "train"}
    watch = Watch(evaluated, members)
    train(data, parts["train"].group_N, len(parts["train"].groups), members, _settings(config), watch)
    seconds = {"open": opened - start, "train": time.monotonic() - opened}
    _check_diverged(watch)
    rows = []
    for objective in config.objective:
        row = {
            "label": label,
            "features": ",".join(map(str, blocks)),
            "dim": data.dim,
            "num_parameters": len(classes) * (data.dim + 1),
            "dataset": config.dataset,
            "target": config.target,
            "solver": config.solver,
            "select": config.select,
            "objective": objective,
            "group": parse_group(config.group or "").column,
            "groups": {role: list(part.groups) for role, part in parts.items()},
            **cost(parts["test"].split.x.parts),
            "num_classes": len(classes),
            "num_samples": len(parts["test"].group_N),
            "grid": watch.grid(objective),
            **({"overlap": overlap} if overlap else {}),
            "seconds": seconds,
        }
        rows.append(tune(root, config, blocks, parts, classes, data, watch, row))
    if config.wilds:
        write_wilds(config, label, number, classes, evaluated, watch)
    return rows


def _members(config: ProbeConfig) -> list[Member]:
    solver = SOLVERS[config.solver]
    return members_of(
        config.objective, config.lr or solver.lr, config.weight_decay or solver.weight_decay,
        config.penalty, config.anneal, config.seeds or solver.seeds,
    )  # fmt: skip


def _settings(config: ProbeConfig) -> GroupSettings:
    solver = SOLVERS[config.solver]
    batch = None if config.solver == "fullbatch" else config.batch or solver.batch
    return GroupSettings(epochs=config.epochs or solver.epochs, batch=batch, seed=config.seed)


def _prepared(part: Part, prepare: Any) -> Part:
    return replace(part, split=replace(part.split, data=part.split.data.prepared_by(prepare)))


def _check_diverged(watch: Watch) -> None:
    bad = [watch.members[best.k] for best in watch.best.values() if not bool(torch.isfinite(best.weight).all())]
    if bad:
        raise BadValue(f"every setting of {bad[0].objective}, seed {bad[0].seed}, diverged: give a smaller --lr")
