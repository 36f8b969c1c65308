"""Rows as tables, for people."""

from collections.abc import Sequence
from typing import Any

from store.tables import text_table

MOST_GROUPS = 20
"""That are shown one by one; of more, those in which the first row is worst."""


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line a row, the accuracy of each group, how each weight decay was chosen, what choosing on test would add."""
    groups = any("worst_group_accuracy" in row for row in rows)
    head = ["features", "dim", "weight decay", "val top-1", "top-1", "95 %", "top-5", "NLL"]
    head += ["worst group"] if groups else []
    lines = []
    for row in rows:
        low, high = row["top1_interval"]
        cells = [
            row["features"],
            str(row["dim"]),
            "" if row["weight_decay"] is None else f"{row['weight_decay']:g}",
            percent(row["val_top1"]),
            percent(row["top1"]),
            f"{100 * low:.1f}-{100 * high:.1f}",
            percent(row["top5"]),
            f"{row['nll']:.3f}" if "nll" in row else "",
        ]
        lines.append(cells + ([_worst(row)] if groups else []))
    notes = sorted({f"{row['solver']}, {row['select']}: {row['selection']}" for row in rows})
    gaps = ", ".join("-" if row["optimism_gap"] is None else f"{100 * row['optimism_gap']:.2f}" for row in rows)
    notes.append(f"choosing on the test split would have added (points, row by row): {gaps}")
    for row in rows:
        notes += [
            f"{row['features']}: {count} images of {sides.replace('/', ' and ')} are the same, or of one unit"
            for sides, count in row.get("overlap", {}).items()
        ]
    return "\n".join([text_table(head, lines), "", *([_by_group(rows), ""] if groups else []), *notes])


def _worst(row: dict[str, Any]) -> str:
    worst = row.get("worst_group_accuracy")
    return "" if worst is None else f"{percent(worst)} ({row['worst_group']})"


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
    return "" if value is None else f"{100 * value:.2f}"
