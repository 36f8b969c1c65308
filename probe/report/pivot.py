"""The tables of `python -m probe.report`: a line for each concatenation, or for each group of results."""

from collections.abc import Sequence
from typing import Any

from probe.report.grouping import Line, best, group
from probe.report.rows import Result
from probe.report.tables import Cell, Table, accuracy_cell, value_cell

SHARES = (
    "accuracy",
    "low",
    "high",
    "val",
    "top5",
    "mean_class_accuracy",
    "worst_group_accuracy",
    "optimism_gap",
    "std",
)
"""Shown in per cent."""


def _measures(
    results: Sequence[Result],
) -> tuple[list[tuple[str, ...]], list[str], dict[tuple[str, ...], dict[str, Line]]]:
    """Lines (dataset, target, features), columns `method setting`, and what fills them, best marked by column."""
    found: dict[tuple[str, ...], dict[str, Line]] = {}
    names: dict[str, None] = {}
    for line in group(results):
        key = tuple(str(line.get(name)) for name in ("dataset", "features"))
        target = line.get("target") or "label"
        name = f"{line.get('method')} {line.get('setting')}" + (f" of {target}" if target != "label" else "")
        names[name] = None
        found.setdefault(key, {})[name] = line
    return list(found), list(names), found


def table(results: Sequence[Result]) -> Table:
    """Every measure of every concatenation: a column for each measure, empty where it was not taken."""
    keys, names, found = _measures(results)
    top: dict[tuple[str, str], list[float]] = {}
    for key in keys:
        for name, line in found[key].items():
            top.setdefault((key[0], name), []).append(line.accuracy)
    best_of = {where: max(values) for where, values in top.items() if len(values) > 1}
    several = len({key[0] for key in keys}) > 1
    rows = []
    for key in keys:
        lines = found[key]
        dim = next((line.get("dim") for line in lines.values() if line.get("dim") is not None), None)
        cells = [Cell(key[0])] if several else []
        cells += [Cell(key[1]), value_cell(dim)]
        for name in names:
            if (measured := lines.get(name)) is None:
                cells.append(Cell(""))
                continue
            top_here = best_of.get((key[0], name)) == measured.accuracy
            cells.append(accuracy_cell(measured.accuracy, measured.half, best=top_here))
        rows.append(cells)
    return Table(header=[*(["dataset"] if several else []), "features", "dim", *names], rows=rows)


def to_json(results: Sequence[Result]) -> dict[str, Any]:
    """Every line in full: shares, interval, runs and the records behind it."""
    lines = group(results)
    return {
        "rows": [
            {
                **{name: line.get(name) for name in line.last.values if name not in ("record", "created")},
                "accuracy": line.accuracy,
                "runs": len(line.results),
                "best": i in marked,
                "records": [result.record.id for result in line.results],
            }
            for marked in [best(lines)]
            for i, line in enumerate(lines)
        ]
    }


def list_table(lines: Sequence[Line], names: Sequence[str]) -> Table:
    """The columns `names` of each line."""
    marked = best(lines)
    rows = []
    for i, line in enumerate(lines):
        cells = []
        for name in names:
            value = line.get(name)
            if name == "accuracy":
                cells.append(accuracy_cell(line.accuracy, line.half, best=i in marked))
            elif name in SHARES and isinstance(value, int | float):
                cells.append(Cell(f"{100 * value:.1f}", value))
            else:
                cells.append(value_cell(value))
        rows.append(cells)
    mixed = list(dict.fromkeys(name for line in lines for name in line.mixes))
    notes = [f"lines average over different {', '.join(mixed)}: no interval there; add them to --by"] if mixed else []
    return Table(header=names, rows=rows, notes=notes)
