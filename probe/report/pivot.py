"""The tables of `python -m probe.report`: a line for each concatenation, or for each group of results."""

from collections.abc import Sequence
from typing import Any

from probe.report.best import legend, marks, pick
from probe.report.grouping import Line, group
from probe.report.rows import Result
from probe.report.tables import Cell, Table, accuracy_cell, value_cell
from probe.table import UNDEFINED

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
    columns: dict[tuple[str, str], list[Line]] = {}
    for key in keys:
        for name, line in found[key].items():
            columns.setdefault((key[0], name), []).append(line)
    picks = {where: pick(lines) for where, lines in columns.items() if len(lines) > 1}
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
            marked = (key[0], name) in picks and any(measured is one for one in picks[key[0], name].lines)
            cells.append(accuracy_cell(measured.accuracy, measured.half, best=marked))
        rows.append(cells)
    told = [(f"{dataset}: {name}" if several else name, one) for (dataset, name), one in picks.items()]
    every = [line for lines in columns.values() for line in lines]
    return Table(
        header=[*(["dataset"] if several else []), "features", "dim", *names],
        rows=rows,
        marks=legend(told),
        legend=[*classes_told(every), *overlaps(every)],
    )


def overlaps(lines: Sequence[Line]) -> list[str]:
    """A sentence for each line whose splits share images."""
    told = [f"{line.get('features')}: {line.get('overlap')}" for line in lines if line.get("overlap")]
    return list(dict.fromkeys(told))


def classes_told(lines: Sequence[Line]) -> list[str]:
    """From how many classes few-shot episodes are drawn, where that is not the same for all."""
    found: dict[Any, dict[str, None]] = {}
    for line in lines:
        if line.get("kind") == "fewshot" and line.get("classes") is not None:
            found.setdefault(line.get("classes"), {})[str(line.get("setting"))] = None
    if len(found) < 2:
        return []
    told = "; ".join(f"{count} ({', '.join(settings)})" for count, settings in found.items())
    return [f"classes that episodes are drawn from: {told}; those with too few images take no part"]


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
                "best_how": marked[i].how if i in marked else None,
                "records": [result.record.id for result in line.results],
            }
            for marked in [marks(lines)]
            for i, line in enumerate(lines)
        ]
    }


def list_table(lines: Sequence[Line], names: Sequence[str]) -> Table:
    """The columns `names` of each line."""
    marked = marks(lines)
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
                cells.append(value_cell(_undefined(line) if name == "nll" and value is None else value))
        rows.append(cells)
    mixed = list(dict.fromkeys(name for line in lines for name in line.mixes))
    notes = [f"lines average over different {', '.join(mixed)}: no interval there; add them to --by"] if mixed else []
    told = legend([("", one) for one in marked.values()]) if "accuracy" in names else []
    return Table(header=names, rows=rows, notes=notes, marks=told, legend=overlaps(lines))


def _undefined(line: Line) -> str | None:
    return UNDEFINED if line.last.record.metrics.get("nll_undefined") else None
