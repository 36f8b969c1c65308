"""Rows as a Markdown table, for people."""

from collections.abc import Sequence
from typing import Any


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line a row, then how each weight decay was chosen and what choosing on test would have added."""
    groups = any("worst_group_accuracy" in row for row in rows)
    head = ["features", "dim", "weight decay", "val top-1", "top-1", "95 %", "top-5", "NLL"]
    head += ["worst group"] if groups else []
    lines = [head]
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
    return "\n".join([markdown(lines), "", *notes])


def percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Cells as an aligned Markdown table; the first line is the head."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)
