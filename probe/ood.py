"""One initialisation of the out-of-distribution table: train every objective's grid at once, tune twice, record."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from probe import ranks
from probe.config import ProbeConfig
from probe.features import Block, parse_features
from probe.groups import Part, by_role, open_parts, parse_group
from probe.heads import LinearHead
from probe.keep import cost, keep_head, keep_record
from probe.memory import hold
from probe.probing import pick_device
from probe.select import Choice
from probe.solvers import SOLVERS, Fit
from probe.solvers.grouped import GroupSettings, train
from probe.solvers.members import Member, members_of
from probe.splits import fitted
from probe.tuning import TUNINGS, Best, Watch, spread_of
from probe.wilds import check_wilds, write_wilds
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
    parts, classes = open_parts(root, config, blocks, device)
    if config.select != "id_val" and "ood_val" not in parts and config.select == "ood_val":
        raise BadValue(
            f"--select ood_val: {config.dataset}/{config.val} has no group that does not train; name the groups, "
            f"--group {parse_group(config.group or '').column}=TRAIN:TUNE:TEST, or take --select id_val"
        )
    members = _members(config)
    held, _ = hold(
        {role: part.split for role, part in parts.items()}, config.memory, config.solver, len(classes), len(members)
    )
    parts = by_role(parts, held)
    data = fitted(parts["train"].split.data, blocks)
    opened = time.monotonic()
    evaluated = {role: _prepared(part, data.prepare) for role, part in parts.items() if role != "train"}
    watch = Watch(evaluated, members)
    train(data, parts["train"].group_N, len(parts["train"].groups), members, _settings(config), watch)
    seconds = {"open": opened - start, "train": time.monotonic() - opened}
    _warn_diverged(watch)
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
            "seconds": seconds,
        }
        rows.append(_tune(root, config, blocks, parts, classes, data, watch, objective, row))
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


def _warn_diverged(watch: Watch) -> None:
    bad = [watch.members[best.k] for best in watch.best.values() if not bool(torch.isfinite(best.weight).all())]
    if bad:
        raise BadValue(f"every setting of {bad[0].objective}, seed {bad[0].seed}, diverged: give a smaller --lr")


def _tune(
    root: Root, config: ProbeConfig, blocks: list[Block], parts: dict[str, Part], classes: tuple[str, ...], data: Any,
    watch: Watch, objective: str, row: Row,
) -> Row:  # fmt: skip
    """Fill in what each tuning chose, keep its heads, and record the row."""
    tunings: dict[str, Row] = {}
    for tuning in watch.tunings:
        chosen = {seed: best for (t, o, seed), best in watch.best.items() if (t, o) == (tuning, objective)}
        runs = [_run(watch, seed, best) for seed, best in chosen.items()]
        if ranks.is_first():
            for run, best in zip(runs, chosen.values(), strict=True):
                fit = Fit(head=LinearHead(best.weight, best.bias), weight_decay=run["weight_decay"])
                choice = Choice(fit, data, [], 0, best.accuracy, f"chosen on {TUNINGS[tuning]}")
                run["head"] = keep_head(root, config, blocks, classes, choice)
        tunings[tuning] = _summary(runs)
    row["tunings"] = tunings
    for tuning, found in tunings.items():
        found["spread"] = spread_of([row], tuning)
    how = "iid" if config.select == "id_val" or "ood" not in tunings else "ood"
    chosen_by = tunings[how]
    by_run = [max(e["best_test_top1"] for e in row["grid"] if e["seed"] == run["seed"]) for run in chosen_by["runs"]]
    row |= {
        "tuning": how,
        "selection": f"setting and epoch chosen on {TUNINGS[how]} in each of {len(chosen_by['runs'])} runs",
        "weight_decay": chosen_by["runs"][0]["weight_decay"],
        **{
            name: chosen_by[name]
            for name in ("top1", "top1_std", "accuracy_by_group", "worst_group", "worst_group_accuracy")
        },
        "optimism_gap": float(np.mean(by_run)) - chosen_by["top1"],
    }
    if not ranks.is_first():
        return row
    recorded = replace(config, objective=(objective,))
    record = keep_record(root, recorded, {role: part.split for role, part in parts.items()}, row, None)
    return {**row, "record": record.id}


def _run(watch: Watch, seed: int, best: Best) -> Row:
    """What one run chose, and what that scores everywhere."""
    member = watch.members[best.k]
    found: Row = {"seed": seed, **{name: getattr(member, name) for name in ("lr", "weight_decay", "penalty", "anneal")}}
    found["epoch"] = watch.epochs[best.check]
    for role in watch.parts:
        found["top1" if role == "test" else role] = float(watch.accuracy(role)[best.check, best.k])
    found["accuracy_by_group"] = {role: watch.by_group(role, best.check, best.k) for role in watch.parts}
    return found


def _summary(runs: Sequence[Row]) -> Row:
    """Means over runs; the worst group is that of the lowest mean among those of every role, the test's own first."""
    top1 = [run["top1"] for run in runs]
    roles = runs[0]["accuracy_by_group"]
    by_role_group = {
        role: {name: float(np.mean([run["accuracy_by_group"][role][name] for run in runs])) for name in groups}
        for role, groups in roles.items()
    }
    flat = {name: value for role in by_role_group for name, value in by_role_group[role].items()}
    worst = min(flat, key=flat.__getitem__)
    return {
        "top1": float(np.mean(top1)),
        "top1_std": float(np.std(top1, ddof=1)) if len(runs) > 1 else None,
        **{role: float(np.mean([run[role] for run in runs])) for role in roles if role != "test"},
        "accuracy_by_group": flat,
        "accuracy_by_role": by_role_group,
        "worst_group": worst,
        "worst_group_accuracy": flat[worst],
        "runs": list(runs),
    }
