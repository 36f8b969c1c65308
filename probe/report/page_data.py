"""What the page's table holds, as JSON: a row for each line, and below it every number's provenance, told once."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from probe.report.best import Pick, marks
from probe.report.grouping import Line
from probe.report.naming import brief
from probe.report.reproduce import commands
from probe.report.rows import Result
from probe.worst import TOLD

COLUMNS: tuple[dict[str, Any], ...] = (
    {"key": "features", "title": "Features", "kind": "text"},
    {"key": "accuracy", "title": "Accuracy, %", "kind": "number", "hint": "with its 95 % interval"},
    {"key": "dataset", "title": "Dataset", "kind": "text", "pick": True},
    {"key": "target", "title": "Target", "kind": "text", "pick": True, "spare": True},
    {"key": "setting", "title": "Setting", "kind": "text", "pick": True},
    {"key": "method", "title": "Method", "kind": "text", "pick": True},
    {"key": "family", "title": "Family", "kind": "text", "pick": True, "spare": True},
    {"key": "dim", "title": "Columns", "kind": "number", "spare": True, "hint": "of the concatenation"},
    {"key": "parameters", "title": "Parameters", "kind": "number", "spare": True, "hint": "of the backbones together"},
    {"key": "flops", "title": "FLOPs", "kind": "number", "spare": True, "hint": "of the backbones together, per image"},
    {"key": "classes", "title": "Classes", "kind": "number", "spare": True, "hint": "that episodes are drawn from"},
    {"key": "worst_group_accuracy", "title": "Worst group, %", "kind": "share", "spare": True, "hint": TOLD},
    {"key": "nll", "title": "NLL", "kind": "number", "spare": True, "hint": "mean negative log-likelihood, nats"},
    {"key": "optimism_gap", "title": "Optimism", "kind": "share", "spare": True,
     "hint": "points that choosing on the test split would have added"},
    {"key": "overlap", "title": "Not apart", "kind": "text", "hint": "images that two splits share"},
    {"key": "runs", "title": "Runs", "kind": "number", "spare": True, "hint": "repeats with other seeds"},
    {"key": "created", "title": "Date", "kind": "date", "spare": True, "hint": "UTC"},
)  # fmt: skip
HIDDEN = ("low", "high", "best", "full")
FACTS = ("record", "created", "accuracy", "n", "val", "worst_group", "worst_group_n", "overlap", "weight_decay", "seed",
         "head_parameters", "seconds")  # fmt: skip


class Told:
    """Texts by number, each kept once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def add(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


def table_data(lines: Sequence[Line]) -> dict[str, Any]:
    """JSON values: columns, rows, for each row its runs, and the texts these refer to by number."""
    marked = marks(lines)
    shown = [column for column in COLUMNS if _tells(column, lines)]
    sets, versions, told = Told(), Told(), Told()
    return {
        "columns": [*shown, *({"key": key, "kind": "number"} for key in HIDDEN)],
        "sort": "accuracy",
        "rows": [_row(line, [column["key"] for column in shown], marked.get(i)) for i, line in enumerate(lines)],
        "runs": [[_run(result, sets, versions, told) for result in line.results] for line in lines],
        "sets": list(sets.numbers),
        "versions": list(versions.numbers),
        "commands": list(told.numbers),
    }  # fmt: skip


def _tells(column: Mapping[str, Any], lines: Sequence[Line]) -> bool:
    """Whether the column is worth its room: known of some line, and a text that lines can be told apart by."""
    values = (line.get(column["key"]) for line in lines)
    if column["kind"] != "text" or column["key"] in ("features", "overlap"):
        return any(value is not None for value in values)
    first = next(values, None)
    return any(value != first for value in values)


def _row(line: Line, keys: Sequence[str], marked: Pick | None) -> list[Any]:
    """JSON has no NaN and no infinity: they become null."""
    features = str(line.get("features"))
    values = {"features": brief(features), "accuracy": line.accuracy, "created": line.last.record.created}
    low, high = line.interval or (None, None)
    row = [
        *(values[key] if key in values else line.get(key) for key in keys),
        low,
        high,
        marked.how if marked else None,
        features,
    ]
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in row]


def _run(result: Result, sets: Told, versions: Told, told: Told) -> dict[str, Any]:
    record = result.record
    prints = (item for item in record.features if isinstance(item, Mapping))
    return {
        "facts": [
            [name.replace("_", " "), _text(name, value)] for name in FACTS if (value := result.values[name]) is not None
        ],
        "sets": [
            sets.add(f"{item.get('split')}  {item.get('backbone')}  {item.get('fingerprint')}") for item in prints
        ],
        "targets": [f"{name}  {value}" for name, value in record.targets.items()],
        "versions": versions.add(", ".join(f"{name} {value}" for name, value in record.versions.items())),
        "commands": [told.add(command) for command in _commands(result)],
    }


def _commands(result: Result) -> list[str]:
    try:
        return commands(result.record)
    except (KeyError, TypeError, AttributeError):  # a record whose config is not ours has results, but no command
        return []


def _text(name: str, value: Any) -> str:
    if name in ("accuracy", "val") and isinstance(value, int | float):
        return f"{100 * value:.2f} %"
    if name == "seconds" and isinstance(value, int | float):
        return f"{value:.3g} s"
    return f"{value:g}" if isinstance(value, float) else str(value)


def embed(value: Any) -> str:
    """JSON that can stand inside a script element: no text in it can end the element or open a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
