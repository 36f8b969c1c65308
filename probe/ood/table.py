"""The out-of-distribution table for people: objectives and tunings side by side, then each in detail."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from probe.ood.rows import by_group
from probe.ood.tuning import TUNINGS, spread_of
from probe.table import overlap_notes, percent, worst_text
from probe.worst import TOLD
from store.tables import text_table

NAMES = {"vrex": "vREx", "erm": "ERM", "groupdro": "groupDRO"}
"""In the paper's order."""
Row = dict[str, Any]


def summaries(rows: Sequence[Row]) -> list[Row]:
    """One for each (label, objective, tuning): means over the runs of all its initialisations, and their spread."""
    found = []
    for label, objective in dict.fromkeys((row["label"], row["objective"]) for row in rows):
        mine = [row for row in rows if (row["label"], row["objective"]) == (label, objective)]
        for tuning in mine[0]["tunings"]:
            parts = [row["tunings"][tuning] for row in mine]
            top1 = [run["top1"] for part in parts for run in part["runs"]]
            groups = {
                role: {name: float(np.mean([p["accuracy_by_role"][role][name] for p in parts])) for name in names}
                for role, names in parts[0]["accuracy_by_role"].items()
            }
            found.append(
                {
                    "label": label,
                    "objective": objective,
                    "tuning": tuning,
                    "dim": mine[0]["dim"],
                    "initialisations": len(mine),
                    "runs": len(top1),
                    "top1": float(np.mean(top1)),
                    "top1_std": float(np.std(top1, ddof=1)) if len(top1) > 1 else None,
                    **{
                        role: float(np.mean([part[role] for part in parts]))
                        for role in TUNINGS.values()
                        if role in parts[0]
                    },
                    **by_group(groups, parts[0]["samples_per_group"]),
                    "optimism_gap": float(np.mean([part["optimism_gap"] for part in parts])),
                    "spread": spread_of(mine, tuning),
                    "chosen": _chosen([run for part in parts for run in part["runs"]]),
                }
            )
    return found


def _chosen(runs: Sequence[Row]) -> dict[str, list[Any]]:
    """The settings and epochs that runs chose, each once, ascending."""
    return {name: sorted({run[name] for run in runs}) for name in ("penalty", "anneal", "weight_decay", "lr", "epoch")}


def ood_table(rows: Sequence[Row]) -> str:
    """Two tables and what they mean; per cent."""
    found = summaries(rows)
    pairs = list(dict.fromkeys((s["tuning"], s["objective"]) for s in found))
    pairs.sort(key=lambda pair: (list(TUNINGS).index(pair[0]), list(NAMES).index(pair[1])))
    cell = {(s["label"], s["tuning"], s["objective"]): plus_minus(s["top1"], s["top1_std"]) for s in found}
    labels = list(dict.fromkeys(s["label"] for s in found))
    dims = {s["label"]: s["dim"] for s in found}
    head = ["features", "dim", *(f"{tuning.upper()}-tuned {NAMES[objective]}" for tuning, objective in pairs)]
    lines = [[label, str(dims[label]), *(cell.get((label, *pair), "") for pair in pairs)] for label in labels]
    return "\n".join([text_table(head, lines), "", _details(found), "", *_notes(rows, found)])


def _details(found: Sequence[Row]) -> str:
    roles = [role for role in ("id_val", "ood_val", "test") if role in found[0]["accuracy_by_role"]]
    groups = [(role, name) for role in roles for name in found[0]["accuracy_by_role"][role]]
    head = ["features", "objective", "tuned", *(r for r in roles if r != "test"), "test", "worst group"]
    head += [f"{role}/{name}" for role, name in groups]
    head += ["sd seed", "sd setting", "sd init", "gap", "penalty", "epoch"]
    lines = []
    for s in found:
        part = s["spread"]
        lines.append(
            [s["label"], NAMES[s["objective"]], s["tuning"].upper()]
            + [percent(s[role]) for role in roles if role != "test"]
            + [percent(s["top1"]), worst_text(s)]
            + [percent(s["accuracy_by_role"][role].get(name)) for role, name in groups]
            + [percent(part[name]) for name in ("seed", "setting", "initialisation")]
            + [percent(s["optimism_gap"])]
            + [_range(s["chosen"]["penalty"]) if s["objective"] == "vrex" else "", _range(s["chosen"]["epoch"])]
        )
    return text_table(head, lines)


def _range(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"


def plus_minus(mean: float, std: float | None) -> str:
    return f"{100 * mean:.1f}" + ("" if std is None else f"+-{100 * std:.1f}")


def _notes(rows: Sequence[Row], found: Sequence[Row]) -> list[str]:
    row = rows[0]
    told = "; ".join(f"{role}: {', '.join(groups)}" for role, groups in row["groups"].items())
    runs = {s["label"]: f"{s['initialisations']} x {s['runs'] // s['initialisations']}" for s in found}
    notes = [
        "test accuracy, mean+-standard deviation over runs, initialisations x seeds: "
        + "; ".join(f"{label} {count}" for label, count in runs.items()),
        f"{row['group']} of {told}",
        f"{row['solver']}: setting and epoch of each run chosen on id_val (IID) or ood_val (OOD); test chooses nothing",
    ]
    notes.append("gap: points that choosing on the test groups would have added")
    once = dict.fromkeys(overlap_notes(rows))
    return [*notes, TOLD, *once]
