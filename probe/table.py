"""Rows as tables, for people."""

from collections.abc import Sequence
from typing import Any

from probe.worst import LEAST, TOLD
from store.tables import text_table
from store.told import overlap_text

MOST_GROUPS = 20
"""At most this many groups get a line. If there are more, those where the first row is least accurate."""
NONE = "-"
"""Stands where a run has no such number."""
UNDEFINED = "undefined"
"""Stands where a number would have been, but is not defined for these samples."""


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line a row, the accuracy of each group, how each weight decay was chosen, what choosing on test would add."""
    groups = any("worst_group_accuracy" in row for row in rows)
    top5 = any("top5" in row for row in rows)
    head = ["features", "dim", "weight decay", "val top-1", "top-1", "95 %", *(["top-5"] if top5 else []), "NLL"]
    head += ["worst group"] if groups else []
    lines = []
    for row in rows:
        low, high = row["top1_interval"]
        cells = [
            row["features"],
            str(row["dim"]),
            NONE if row["weight_decay"] is None else f"{row['weight_decay']:g}",
            percent(row["val_top1"]),
            percent(row["top1"]),
            f"{100 * low:.1f}-{100 * high:.1f}",
            *([percent(row.get("top5"))] if top5 else []),
            _nll(row),
        ]
        lines.append(cells + ([worst_text(row)] if groups else []))
    notes = sorted({f"{row['solver']}, {row['select']}: {row['selection']}" for row in rows})
    gaps = ", ".join(NONE if row["optimism_gap"] is None else f"{100 * row['optimism_gap']:.2f}" for row in rows)
    notes.append(f"choosing on the test split would have added (points, row by row): {gaps}")
    if any("nll_undefined" in row for row in rows):
        notes.append("NLL is undefined where the class of a test sample has no training sample or no score")
    notes += [*([TOLD] if groups else []), *overlap_notes(rows)]
    return "\n".join([text_table(head, lines), "", *([_by_group(rows), ""] if groups else []), *notes])


def overlap_notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each row and each two splits of it that share images, as `store.overlap.check_apart` counts them."""
    return [f"{row['features']}: {text}" for row in rows for text in overlap_text(row.get("overlap", {}))]


def worst_text(row: dict[str, Any]) -> str:
    """`75.00 (site3), n 24`. A row with groups of which none has LEAST samples says so."""
    if "worst_group_accuracy" not in row:
        return NONE
    worst = row["worst_group"]
    if worst is None:
        return f"none has {LEAST}"
    return f"{percent(row['worst_group_accuracy'])} ({worst}), n {row['samples_per_group'][worst]}"


def _nll(row: dict[str, Any]) -> str:
    return f"{max(row['nll'], 0.0):.3f}" if "nll" in row else UNDEFINED if "nll_undefined" in row else NONE


def _by_group(rows: Sequence[dict[str, Any]]) -> str:
    """A line a group, a column a row."""
    first = rows[0]["per_group"]
    shown = list(first) if len(first) <= MOST_GROUPS else sorted(first, key=first.__getitem__)[:MOST_GROUPS]
    head = ["group", "samples", *(row["features"] for row in rows)]
    lines = [
        [name, str(rows[0]["samples_per_group"][name]), *(percent(row["per_group"].get(name)) for row in rows)]
        for name in shown
    ]
    more = len(first) - len(shown)
    return text_table(head, lines) + (f"\nand {more} groups in which {head[2]} does better: --json" if more else "")


def percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.2f}"
