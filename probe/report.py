"""`python -m probe.report`: the latest result of every concatenation, in one table. Reads records, never features."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from store.errors import BadValue
from store.keys import dataset_name
from store.records import Record, read_records
from store.root import Root, default_root, open_root
from store.runtime import run_command
from store.tables import text_table

Row = dict[str, Any]


def collect(root: Root, dataset: str | None = None) -> list[Row]:
    """One row per (dataset, features): what the newest probe and few-shot records say of it, in the order of the runs.

    Raises `BadValue`: there is no record.
    """
    rows: dict[tuple[str, str], Row] = {}
    for record in sorted([*read_records(root, "probe"), *read_records(root, "fewshot")], key=lambda r: r.created):
        for features, found in _cells(record):
            key = (str(record.config["dataset"]), features)
            if dataset is None or key[0] == dataset_name(dataset):
                rows.setdefault(key, {"dataset": key[0], "features": features}).update(found)
    if not rows:
        what = f" of {dataset}" if dataset else ""
        raise BadValue(f"no records{what} in {root.url}; run: python -m probe --features a,b --dataset NAME")
    return list(rows.values())


def _cells(record: Record) -> Iterable[tuple[str, Row]]:
    metrics = record.metrics
    if record.kind == "probe":
        name = f"{metrics['solver']} top-1"
        yield metrics["features"], {"dim": metrics["dim"], name: _percent(metrics["top1"])}
        return
    for result in metrics["results"]:
        name = f"{result['classifier']} {result['ways']}-way {result['shots']}-shot"
        yield result["features"], {name: f"{_percent(result['accuracy'])}+-{100 * result['ci95']:.1f}"}


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def table(rows: Sequence[Row]) -> str:
    """A column for every measure that any row has; empty where a row was not measured."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len({row["dataset"] for row in rows}) == 1:
        names.remove("dataset")
    return text_table(names, [[row.get(name, "") for name in names] for row in rows])


def build_parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m probe.report",
        description="One table of the latest probe and few-shot results of every concatenation, in per cent.",
    )
    p.add_argument("--store", default=default_root(), help="folder or s3://bucket/prefix (default: %(default)s)")
    p.add_argument("--dataset", help="only this one")
    p.add_argument("--json", action="store_true", help="print one JSON document")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    options = build_parser().parse_args(argv)
    rows = collect(open_root(options.store), options.dataset)
    print(json.dumps({"rows": rows}, indent=1) if options.json else table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(run_command("report", main))
