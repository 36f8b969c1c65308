"""A report as text tables or as one JSON document."""

import json
from dataclasses import asdict

from fewshot.evaluate import Report
from store.tables import text_table
from store.told import overlap_text

NONE = "-"
"""Stands where there is no such number."""


def to_json(report: Report) -> str:
    return json.dumps(
        {
            "dataset": report.dataset,
            "splits": report.splits,
            "target": report.target,
            "notes": report.notes,
            "results": [result.row() for result in report.results],
            "differences": [asdict(difference) for difference in report.differences],
            **({"overlap": report.overlap} if report.overlap else {}),
            "record": report.record,
        },
        indent=1,
    )


def to_text(report: Report) -> str:
    repeated = any(r.std is not None for r in report.results)
    unequal = len({r.classes for r in report.results}) > 1
    header = ["features", "classifier", "ways", "shots", *(["classes"] if unequal else []), "accuracy", "95 %",
              *(["std"] if repeated else []), "episodes", "seconds"]  # fmt: skip
    rows = [
        [r.features, r.classifier, r.ways, r.shots, *([str(r.classes)] if unequal else []), f"{100 * r.accuracy:.2f}",
         _half(r.ci95), *([NONE if r.std is None else f"{100 * r.std:.2f}"] if repeated else []), str(r.episodes),
         f"{r.seconds:.2f}"]
        for r in report.results
    ]  # fmt: skip
    lines = [f"{report.dataset}/{'+'.join(report.splits)}, classes: {report.target}", text_table(header, rows)]
    if report.differences:
        differences = [
            [f"{d.b} - {d.a}", d.on, d.ways, d.shots, f"{100 * d.difference:+.2f}", _half(d.ci95)]
            for d in report.differences
        ]
        lines += ["", text_table(["paired difference", "on", "ways", "shots", "points", "95 %"], differences)]
    told = [f"{report.dataset}: {text}" for text in overlap_text(report.overlap)]
    return "\n".join([*lines, *_classes(report), *report.notes, *told, f"record: {report.record}"])


def _half(ci95: float | None) -> str:
    """Over episodes; of one there is none."""
    return NONE if ci95 is None else f"+-{100 * ci95:.2f}"


def _classes(report: Report) -> list[str]:
    """Says so where the rows are not of the same classes."""
    drawn = {r.shots: r.classes for r in report.results}
    if len(set(drawn.values())) < 2:
        return []
    told = ", ".join(f"{count} classes at {shots} shots" for shots, count in drawn.items())
    return [
        f"episodes are drawn from {told}: rows of other classes are not to be compared (a class needs enough images)"
    ]
