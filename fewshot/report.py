"""A report as text tables or as one JSON document."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from fewshot.evaluate import Report


def to_json(report: Report) -> str:
    return json.dumps(
        {
            "dataset": report.dataset,
            "splits": report.splits,
            "target": report.target,
            "notes": report.notes,
            "results": [result.row() for result in report.results],
            "differences": [asdict(difference) for difference in report.differences],
            "record": report.record,
        },
        indent=1,
    )


def to_text(report: Report) -> str:
    repeated = any(r.std is not None for r in report.results)
    header = ["features", "classifier", "ways", "shots", "accuracy", "95 %", "episodes", "seconds"]
    rows = [
        [r.features, r.classifier, r.ways, r.shots, f"{100 * r.accuracy:.2f}", f"+-{100 * r.ci95:.2f}",
         str(r.episodes), f"{r.seconds:.2f}"]
        for r in report.results
    ]  # fmt: skip
    if repeated:
        header.insert(6, "std")
        for row, r in zip(rows, report.results, strict=True):
            row.insert(6, "" if r.std is None else f"{100 * r.std:.2f}")
    lines = [f"{report.dataset}/{'+'.join(report.splits)}, classes: {report.target}", *table(header, rows, left=2)]
    if report.differences:
        differences = [
            [f"{d.b} - {d.a}", d.on, d.ways, d.shots, f"{100 * d.difference:+.2f}", f"+-{100 * d.ci95:.2f}"]
            for d in report.differences
        ]
        lines += ["", *table(["paired difference", "on", "ways", "shots", "accuracy", "95 %"], differences, left=2)]
    return "\n".join([*lines, *report.notes, f"record: {report.record}"])


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Lines of aligned columns, the first `left` of them to the left."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, *rows):
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
