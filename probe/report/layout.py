"""The paper's tables with our own results beside them: what a cell compares, and how it prints."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from probe.report.best import legend, pick, the_best
from probe.report.grouping import Line
from probe.report.paper import PaperNumber, paper_numbers
from probe.report.rows import Result
from probe.report.tables import Cell, Table

MINUS = "−"

Index = Mapping[Any, Sequence[Result]]
"""(dataset, features or label) -> results, oldest first."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One number of the paper, and which of our results it is to be compared with."""

    row: str
    column: str
    paper: tuple[str, str, str]
    """Key of `paper_numbers`."""
    match: Mapping[str, Any] = field(default_factory=dict)
    """Column of a result -> the value that makes it ours. `features` may also be its label, or several that are
    repeats; `method` is compared by its first word, `prefer` is a method that comes before others.
    """
    pick: str = "all"
    """Of several features: all (their mean), or the best, as probe/report/best.py chooses it."""
    commands: Sequence[str] = ()
    """What makes the result, in order; empty: the method is not part of this project."""

    @property
    def number(self) -> PaperNumber:
        return paper_numbers()[self.paper]

    def find(self, index: Index) -> Line | None:
        """Our repeats of this number, all by the method of the newest."""
        if not self.match:
            return None
        wanted = dict(self.match)
        dataset, features = wanted.pop("dataset"), wanted.pop("features")
        method, prefer = wanted.pop("method", None), wanted.pop("prefer", None)
        names = features if isinstance(features, tuple) else (features,)
        near = (result for name in names for result in index.get((dataset, name), ()))
        found = [result for result in near if all(result.get(name) == value for name, value in wanted.items())]
        same = [result for result in found if method is None or _word(result) == method]
        same = [result for result in same if _word(result) == prefer] or same
        if not same:
            return None
        if self.pick == "best":
            return the_best([Line([result]) for result in same])
        last = max(same, key=lambda result: result.record.created)
        return Line([result for result in same if result.values["method"] == last.values["method"]])


def _word(result: Result) -> str:
    return str(result.values["method"]).partition(" ")[0]


@dataclass(frozen=True, kw_only=True)
class Section:
    title: str
    entries: Sequence[Entry]


@dataclass(frozen=True, kw_only=True)
class Layout:
    what: str
    """For --list."""
    sections: Sequence[Section]

    def tables(self, index: Index) -> list[Table]:
        return [_table(section, index, last=section is self.sections[-1]) for section in self.sections]

    def to_json(self, index: Index) -> dict[str, Any]:
        return {"sections": [
            {"title": section.title, "cells": [_json(entry, entry.find(index)) for entry in section.entries]}
            for section in self.sections
        ]}  # fmt: skip

    def measured(self, index: Index) -> int:
        """How many of its numbers have one of ours beside them."""
        return sum(entry.find(index) is not None for section in self.sections for entry in section.entries)


def index_of(results: Iterable[Result]) -> Index:
    found: dict[Any, list[Result]] = {}
    for result in results:
        for name in dict.fromkeys((result.values["features"], result.values["label"])):
            if name is not None:
                found.setdefault((result.values["dataset"], name), []).append(result)
    return found


def paper_text(number: PaperNumber) -> str:
    """`~` marks what was read off a figure."""
    spread = "" if number.spread is None else f" ± {number.spread:g}"
    return f"{'' if number.exact else '~'}{number.value:.2f}{spread}"


def difference(number: PaperNumber, line: Line) -> float:
    """Ours minus the paper's, in points."""
    return 100 * line.accuracy - number.value


def _table(section: Section, index: Index, *, last: bool) -> Table:
    columns = list(dict.fromkeys(entry.column for entry in section.entries))
    rows: dict[str, dict[str, Entry]] = {}
    for entry in section.entries:
        rows.setdefault(entry.row, {})[entry.column] = entry
    found = {(e.row, e.column): e.find(index) for e in section.entries}
    some = any(found.values())
    ours = {column: [line for (_, c), line in found.items() if c == column and line] for column in columns}
    picks = {column: pick(lines) for column, lines in ours.items() if lines}
    header = [""]
    for column in columns:
        header += [f"{column} paper", "ours", "diff"] if some else [column]
    body = []
    for row, entries in rows.items():
        cells = [Cell(row)]
        for column in columns:
            line = found.get((row, column))
            marked = line is not None and any(line is one for one in picks[column].lines)
            cells += _cells(entries.get(column), line, marked=marked, beside=some)
        body.append(cells)
    notes = _missing(rows, found)
    if last:
        notes.append("~ read off a figure; the others are printed in the paper. ± of the paper: standard deviation.")
    return Table(title=section.title, header=header, rows=body, notes=notes, marks=legend(list(picks.items())))


def _cells(entry: Entry | None, line: Line | None, *, marked: bool, beside: bool) -> list[Cell]:
    """The paper's number, and with `beside` ours and the difference."""
    cells = [Cell(paper_text(entry.number), entry.number.value) if entry else Cell("")]
    if not beside:
        return cells
    if entry is None or line is None:
        return [*cells, Cell(""), Cell("")]
    gap = difference(entry.number, line)
    shown = f"{100 * line.accuracy:.2f}" + (f" ± {100 * line.half:.1f}" if line.half else "")
    return [*cells, Cell(shown, line.accuracy, marked), Cell(f"{gap:+.1f}".replace("-", MINUS), gap)]


def _missing(rows: Mapping[str, Mapping[str, Entry]], found: Mapping[tuple[str, str], Line | None]) -> list[str]:
    """For each row without a record of ours, the commands that make it."""
    notes = []
    for row, entries in rows.items():
        todo = dict.fromkeys(c for column, e in entries.items() if not found[row, column] for c in e.commands)
        if todo:
            notes += [f"{row} is made by:", *(f"    {command}" for command in todo)]
        elif not any(entry.match for entry in entries.values()):
            notes.append(f"{row}: the paper's comparison, not a method of this project")
    return notes


def _json(entry: Entry, line: Line | None) -> dict[str, Any]:
    number = entry.number
    return {
        "row": entry.row,
        "column": entry.column,
        "paper": {"value": number.value, "spread": number.spread, "exact": number.exact,
                  "tolerance": number.tolerance, "source": number.source},
        "ours": None if line is None else {
            "accuracy": line.accuracy, "interval": line.interval, "runs": len(line.results),
            "method": line.get("method"), "records": [result.record.id for result in line.results],
        },
        "difference": difference(number, line) if line else None,
        "commands": [] if line else list(entry.commands),
    }  # fmt: skip
