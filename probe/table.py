"""Rows as a table, for people."""

from collections.abc import Sequence
from typing import Any

from store.tables import text_table


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line a row, then how each weight decay was chosen and what choosing on test would have added."""
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
        lines.append(cells + ([percent(row.get("worst_group_accuracy"))] if groups else []))
    notes = sorted({f"{row['solver']}, {row['select']}: {row['selection']}" for row in rows})
    gaps = ", ".join("-" if row["optimism_gap"] is None else f"{100 * row['optimism_gap']:.2f}" for row in rows)
    notes.append(f"choosing on the test split would have added (points, row by row): {gaps}")
    return "\n".join([text_table(head, lines), "", *notes])


def percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"
