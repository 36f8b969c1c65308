"""Results that belong together as one line: the mean over repeats, and its interval."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev
from typing import Any

from probe.report.intervals import mean_half
from probe.report.rows import Result, columns_of
from store.errors import UnknownName

RUN = ("kind", "dataset", "target", "split", "features", "method", "setting")
"""Results that agree in these differ by their seeds only: repeats of one run."""
CELL = ("kind", "dataset", "target", "split", "setting")
"""What two accuracies must share to be compared."""


@dataclass(frozen=True, eq=False)
class Line:
    """One or several results. The interval is over repeats where there are several, else the result's own."""

    results: Sequence[Result]

    @property
    def last(self) -> Result:
        return self.results[-1]

    @cached_property
    def accuracy(self) -> float:
        return fmean(result.values["accuracy"] for result in self.results)

    @property
    def mixes(self) -> list[str]:
        """What makes the results no repeats of one measurement: their mean has no interval then."""
        return [name for name in CELL if len({str(result.values[name]) for result in self.results}) > 1]

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        if len(self.results) > 1:
            if self.mixes:
                return None
            values = [result.values["accuracy"] for result in self.results]
            half = mean_half(stdev(values), len(values))
            return self.accuracy - half, self.accuracy + half
        low, high = self.last.values["low"], self.last.values["high"]
        return None if low is None or high is None else (low, high)

    @property
    def half(self) -> float | None:
        return (self.interval[1] - self.interval[0]) / 2 if self.interval else None

    def get(self, name: str) -> Any:
        """The value that all results share, the mean of numbers, or how many different texts there are."""
        if name == "runs":
            return len(self.results)
        if len(self.results) == 1:
            return self.last.get(name)
        if name in ("low", "high") and self.interval:
            return self.interval[name == "high"]
        values = [result.get(name) for result in self.results]
        if all(value == values[0] for value in values):
            return values[0]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            return fmean(values)
        return f"{len(set(map(str, values)))} different"


def group(results: Iterable[Result], by: Sequence[str] = RUN) -> list[Line]:
    """Results that agree in all of `by` as one line, in the order of their first."""
    found: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        found.setdefault(tuple(str(result.get(name)) for name in by), []).append(result)
    return [Line(members) for members in found.values()]


def check_names(names: Sequence[str], results: Sequence[Result]) -> None:
    """Raise `UnknownName` for a column that no result has."""
    known = [*columns_of(results), "runs"]
    for name in names:
        if name not in known and not any(result.get(name) is not None for result in results):
            raise UnknownName("column", name, known, "`python -m probe.report --list` shows all")


def where(results: Sequence[Result], conditions: Sequence[str]) -> list[Result]:
    """Those whose columns have the values of `key=value`. Raises `BadValue`, `UnknownName`."""
    tests: list[tuple[str, Callable[[str], bool]]] = []
    for condition in conditions:
        name, _, wanted = condition.partition("=")
        check_names([name], results)
        tests.append((name, wanted.__eq__))
    return [result for result in results if all(test(_text(result.get(name))) for name, test in tests)]


def _text(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
