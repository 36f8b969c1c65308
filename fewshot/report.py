"""A report as text tables or as one JSON document."""

import json
from dataclasses import asdict

from fewshot.evaluate import Report
from store.tables import text_table


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
    lines = [f"{report.dataset}/{'+'.join(report.splits)}, classes: {report.target}", text_table(header, rows)]
    if report.differences:
        differences = [
            [f"{d.b} - {d.a}", d.on, d.ways, d.shots, f"{100 * d.difference:+.2f}", f"+-{100 * d.ci95:.2f}"]
            for d in report.differences
        ]
        lines += ["", text_table(["paired difference", "on", "ways", "shots", "accuracy", "95 %"], differences)]
    return "\n".join([*lines, *report.notes, f"record: {report.record}"])
