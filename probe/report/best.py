"""Which of some results is called the best, and by what: validation chooses; where there is none, the words say so."""

from collections.abc import Sequence
from dataclasses import dataclass

from probe.report.grouping import CELL, Line

PEEKED = ("paper", "oracle")
"""Ways to select that look at the test split: their results are shown, and never called the best beside others."""


@dataclass(frozen=True)
class Pick:
    """The best of some lines that can be compared."""

    lines: Sequence[Line]
    """It, and those that equal it in what chose."""
    validated: bool
    """Whether accuracy on val chose; else it was the accuracy that is reported."""
    of: int
    """Lines that it was chosen from."""
    among: int
    """Lines that there are: some may have looked at the test split, or lack a val accuracy."""

    @property
    def how(self) -> str:
        """`best by validation of 4`, `highest on test of 3`: goes after a name."""
        return self.told("")

    def told(self, what: str) -> str:
        """`how` with a word for what was compared, such as ` results`."""
        if not self.validated:
            split = str(self.lines[0].get("split") or "test").replace(",", "+")
            return f"highest on {split} of {self.of}{what}"
        if self.of == 1 < self.among:
            return f"the only one of {self.among}{what} with a validation"
        rest = f" ({self.among - self.of} more were not validated)" if self.among > self.of else ""
        return f"best by validation of {self.of}{what}{rest}"


def validation(line: Line) -> float | None:
    """Accuracy on val, the mean over runs; None where a run has none, or chose on the test split."""
    values = [result.values["val"] for result in line.results]
    known = all(value is not None for value in values)
    return float(sum(values)) / len(values) if known and line.get("config.select") not in PEEKED else None


def unpeeked(lines: Sequence[Line]) -> list[Line]:
    """Those whose head the test split did not choose; all where it chose every one."""
    return [line for line in lines if line.get("config.select") not in PEEKED] or list(lines)


def pick(lines: Sequence[Line]) -> Pick:
    """The best of lines of one cell: by validation among those that have it, else by the accuracy that is reported."""
    scored = [(line, score) for line in lines if (score := validation(line)) is not None]
    validated = bool(scored)
    if not validated:
        scored = [(line, line.accuracy) for line in unpeeked(lines)]
    top = max(score for _, score in scored)
    return Pick([line for line, score in scored if score == top], validated, len(scored), len(lines))


def the_best(lines: Sequence[Line], cost: str = "dim") -> Line:
    """One line of `pick`: among equals that of the lowest cost, then the first."""
    return min(pick(lines).lines, key=lambda line: line.get(cost) or 0)


def marks(lines: Sequence[Line], within: Sequence[str] = CELL) -> dict[int, Pick]:
    """Index of each line that is the best of those it can be compared with -> how; none where a line is alone.

    A mean over different cells is compared with nothing.
    """
    cells: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        if not line.mixes:
            cells.setdefault(tuple(str(line.get(name)) for name in within), []).append(line)
    picks = [pick(members) for members in cells.values() if len(members) > 1]
    return {i: one for one in picks for i, line in enumerate(lines) if any(line is other for other in one.lines)}


def legend(picks: Sequence[tuple[str, Pick]]) -> list[str]:
    """A sentence for each way in which marks came about, with the names of the columns where they did."""
    found: dict[str, list[str]] = {}
    for name, one in picks:
        found.setdefault(one.how, []).append(name)
    return [how + (f" ({', '.join(filter(None, dict.fromkeys(names)))})" if any(names) else "")
            for how, names in found.items()]  # fmt: skip
