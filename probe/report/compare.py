"""`python -m probe.report diff A B`: what changed between two stores, or in one store between two dates."""

import argparse
import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from probe.report.grouping import RUN, Line, group
from probe.report.rows import Result, Skipped, newest, read_results, tell
from probe.report.tables import FORMATS, Cell, Table, accuracy_cell
from store.errors import BadValue
from store.flags import Parser
from store.root import default_root, open_root

_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:T(\d{2}):?(\d{2})(?::?(\d{2}))?Z?)?")


def build_parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="python -m probe.report diff",
        description="Every result of A beside the same of B: the difference in points, and whether it is larger than "
        "what both intervals allow. A and B are stores, or dates as 2026-01-31 or 2026-01-31T12:00 (UTC): the store "
        "as it was at the end of that day or minute.",
    )
    p.add_argument("a", metavar="A")
    p.add_argument("b", metavar="B")
    p.add_argument("--store", default=default_root(), help="of dates (default: %(default)s)")
    p.add_argument(
        "--changed", action="store_true", help="only what differs by more than the intervals, or is new or gone"
    )
    p.add_argument("--format", default="text", choices=FORMATS, help="(default: %(default)s)")
    p.add_argument("--json", action="store_true", help="print one JSON document")
    return p


def main(argv: Sequence[str]) -> int:
    options = build_parser().parse_args(argv)
    rows = diff(_read(options.a, options.store), _read(options.b, options.store))
    if options.changed:
        rows = [row for row in rows if row["state"] not in ("same", "within")]
    if options.json:
        print(json.dumps({"a": options.a, "b": options.b, "rows": rows}, indent=1))
    else:
        print(FORMATS[options.format](_table(rows)))
    return 0


def _read(what: str, store: str) -> list[Result]:
    """Raises `BadValue`: neither a store with records nor a date, or no record by then."""
    until = end_of(what)
    root = open_root(store if until else what)
    skipped: Skipped = []
    results = read_results(root, skipped)
    tell(root.url, skipped)
    found = [result for result in results if not until or result.record.created <= until]
    if not found:
        when = f" until {until}" if until else ""
        raise BadValue(f"no records{when} in {root.url}: give two stores, or two dates as 2026-01-31 and --store")
    return newest(found)


def end_of(text: str) -> str | None:
    """`2026-01-31` -> 20260131T235959Z, the last second of what a date names; None: not written as one is."""
    match = _DATE.fullmatch(text.strip())
    if not match:
        return None
    year, month, day, hour, minute, second = match.groups()
    try:
        datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC)
    except ValueError as error:
        raise BadValue(f"{text}: {error}; a date is as 2026-01-31") from error
    return f"{year}{month}{day}T{hour or '23'}{minute or '59'}{second or '59'}Z"


def diff(a: Sequence[Result], b: Sequence[Result]) -> list[dict[str, Any]]:
    """One row for each result of either side: accuracies as shares, difference b - a, and its state.

    States: same (equal), within (less than both 95 % intervals together, as independent), better, worse, new, gone.
    """
    lines_a, lines_b = ({_key(line): line for line in group(side)} for side in (a, b))
    return [_row(key, lines_a.get(key), lines_b.get(key)) for key in dict.fromkeys([*lines_a, *lines_b])]


def _key(line: Line) -> tuple[str, ...]:
    return tuple(str(line.get(name)) for name in RUN)


def _row(key: tuple[str, ...], a: Line | None, b: Line | None) -> dict[str, Any]:
    gap = b.accuracy - a.accuracy if a and b else None
    half = math.hypot(a.half or 0.0, b.half or 0.0) if a and b else None
    if gap is None or half is None:
        state = "new" if b else "gone"
    elif gap == 0:
        state = "same"
    else:
        state = "within" if abs(gap) <= half else "better" if gap > 0 else "worse"
    return {
        **dict(zip(RUN, key, strict=True)),
        "a": a.accuracy if a else None,
        "b": b.accuracy if b else None,
        "difference": gap,
        "half": half,
        "state": state,
        "changed": _changed(a.last, b.last) if a and b else [],
        "records": [side.last.record.id if side else None for side in (a, b)],
    }


def _changed(a: Result, b: Result) -> list[str]:
    """What is not the same in the two newest records: features, targets, versions."""
    told = []
    prints = [
        {(item.get("split"), item.get("backbone")): item.get("fingerprint") for item in side.record.features}
        for side in (a, b)
    ]
    both = prints[0].keys() & prints[1].keys()
    names = sorted({str(key[1]) for key in both if prints[0][key] != prints[1][key]})
    told += [f"fingerprint of {name}" for name in names]
    if a.record.targets != b.record.targets:
        told.append("targets")
    versions = a.record.versions.keys() | b.record.versions.keys()
    for name in sorted(versions):
        old, new = a.record.versions.get(name), b.record.versions.get(name)
        if old != new:
            told.append(f"{name} {old} → {new}")
    return told


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    shown = [name for name in RUN if len({row[name] for row in rows}) > 1 or name == "features"]
    body = []
    for row in rows:
        gap = row["difference"]
        text = "" if gap is None else f"{100 * gap:+.1f} ± {100 * row['half']:.1f}"
        body.append([
            *(Cell(row[name]) for name in shown), accuracy_cell(row["a"]), accuracy_cell(row["b"]),
            Cell(text, gap), Cell(row["state"]), Cell(", ".join(row["changed"])),
        ])  # fmt: skip
    counts = {state: sum(row["state"] == state for row in rows) for state in dict.fromkeys(r["state"] for r in rows)}
    return Table(
        header=[*shown, "A, %", "B, %", "B - A, points", "state", "what else changed"],
        rows=body,
        notes=[
            "the states take both intervals as independent; results on the same images are not, and no interval of a "
            "single result tests a difference",
            ", ".join(f"{count} {state}" for state, count in counts.items()) or "nothing to compare",
        ],
    )
