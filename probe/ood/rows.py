"""One row of the out-of-distribution table: what both tunings chose in each run, and what that scores everywhere."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from probe import ranks
from probe.config import ProbeConfig
from probe.data import Data
from probe.features import Block
from probe.heads import LinearHead
from probe.keep import keep_head, keep_record
from probe.ood.groups import Part
from probe.ood.tuning import TUNINGS, Best, Watch, spread_of
from probe.select import Choice
from probe.solvers import Fit
from probe.worst import worst_group
from store.root import Root

Row = dict[str, Any]
HEADING = (
    "top1", "top1_std", "accuracy_by_group", "samples_per_group", "worst_group", "worst_group_accuracy", "optimism_gap",
)  # fmt: skip
"""What a row takes from the tuning that --select names."""


def tune(
    root: Root, config: ProbeConfig, blocks: list[Block], parts: dict[str, Part], classes: tuple[str, ...], data: Data,
    watch: Watch, row: Row,
) -> Row:  # fmt: skip
    """The row with what each tuning chose; its heads and its record are in the store.

    Args:
        data: the training rows as the heads were trained on them. row: what is known before tuning, with its grid.
    """
    tunings: dict[str, Row] = {}
    splits = {role: part.split for role, part in parts.items()}
    for tuning in watch.tunings:
        chosen = {seed: best for (t, o, seed), best in watch.best.items() if (t, o) == (tuning, row["objective"])}
        runs = [_run(watch, seed, best) for seed, best in chosen.items()]
        if ranks.is_first():
            for run, best in zip(runs, chosen.values(), strict=True):
                fit = Fit(head=LinearHead(best.weight, best.bias), weight_decay=run["weight_decay"])
                choice = Choice(fit, data, [], 0, best.accuracy, f"chosen on {TUNINGS[tuning]}")
                run["head"] = keep_head(root, config, blocks, classes, choice, splits)
        tunings[tuning] = _summary(runs, watch.samples_per_group())
    row["tunings"] = tunings
    for tuning, found in tunings.items():
        found["spread"] = spread_of([row], tuning)
        most = [max(e["best_test_top1"] for e in row["grid"] if e["seed"] == run["seed"]) for run in found["runs"]]
        found["optimism_gap"] = float(np.mean(most)) - found["top1"]
    how = "iid" if config.select == "id_val" or "ood" not in tunings else "ood"
    heads = tunings[how]
    row |= {
        "tuning": how,
        "selection": f"setting and epoch chosen on {TUNINGS[how]} in each of {len(heads['runs'])} runs",
        "weight_decay": heads["runs"][0]["weight_decay"],
        **{name: heads[name] for name in HEADING},
    }
    if not ranks.is_first():
        return row
    vrex = row["objective"] == "vrex"  # the others read neither penalty nor anneal
    recorded = replace(
        config,
        objective=(row["objective"],),
        penalty=config.penalty if vrex else ProbeConfig.penalty,
        anneal=config.anneal if vrex else ProbeConfig.anneal,
    )
    record = keep_record(root, recorded, splits, row, None)
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


def _summary(runs: Sequence[Row], samples: dict[str, int]) -> Row:
    """Means over runs. The worst group is of all roles; one that is in two of them counts as it does in the later."""
    top1 = [run["top1"] for run in runs]
    roles = runs[0]["accuracy_by_group"]
    by_role_group = {
        role: {name: float(np.mean([run["accuracy_by_group"][role][name] for run in runs])) for name in groups}
        for role, groups in roles.items()
    }
    return {
        "top1": float(np.mean(top1)),
        "top1_std": float(np.std(top1, ddof=1)) if len(runs) > 1 else None,
        **{role: float(np.mean([run[role] for run in runs])) for role in roles if role != "test"},
        **by_group(by_role_group, samples),
        "runs": list(runs),
    }


def by_group(accuracy_by_role: dict[str, dict[str, float]], samples: dict[str, int]) -> Row:
    """Accuracy by role, by group whatever its role, and the worst group, as probe/worst.py has it."""
    flat = {name: value for groups in accuracy_by_role.values() for name, value in groups.items()}
    worst = worst_group(flat, samples)
    return {
        "accuracy_by_group": flat,
        "accuracy_by_role": accuracy_by_role,
        "samples_per_group": samples,
        "worst_group": worst,
        "worst_group_accuracy": None if worst is None else flat[worst],
    }
