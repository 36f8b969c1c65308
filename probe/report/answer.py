"""The first question: which concatenation is best, and what does it cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probe.report.best import Pick, pick, the_best, unpeeked, validation
from probe.report.figures import cells, cost_name
from probe.report.grouping import CELL, Line


@dataclass(frozen=True)
class Answer:
    """Of everything that can be compared on one target: what is best, against what, and what nearly is."""

    cell: Mapping[str, str]
    lines: Sequence[Line]
    pick: Pick
    """How the best was chosen."""
    best: Line
    higher: Line | None
    """The line of the highest accuracy, where validation chose another."""
    single: Line | None
    """The best that has one backbone, where the best has more; None else."""
    thrifty: Line | None
    """The cheapest within the interval of the best, as scored and by what chose the best; None: that is the best."""
    cost: str
    """Column that says what is cheap: parameters or dim."""

    @property
    def gain(self) -> float | None:
        """Points that concatenation adds to the best single network."""
        return None if self.single is None else 100 * (self.best.accuracy - self.single.accuracy)

    @property
    def sure(self) -> bool:
        """Whether the gain is more than both intervals allow, taken as independent."""
        if self.single is None or self.best.half is None or self.single.half is None:
            return False
        return self.best.accuracy - self.single.accuracy > math.hypot(self.best.half, self.single.half)


def answers(lines: Sequence[Line]) -> list[Answer]:
    """One for each dataset, target, split and setting, those with most concatenations first."""
    return [_answer(dict(zip(CELL, key, strict=True)), every) for key, every in cells(lines).items()]


def _answer(cell: Mapping[str, str], every: Sequence[Line]) -> Answer:
    chosen = pick(every)
    honest = [line for line in every if validation(line) is not None] if chosen.validated else unpeeked(every)
    cost, _, _ = cost_name(honest)
    best = the_best(honest, cost)

    def score(line: Line) -> float:
        return line.accuracy if (value := validation(line)) is None else value

    floor = score(best) - (best.accuracy - best.interval[0] if best.interval else 0.0)
    inside = best.interval[0] if best.interval else best.accuracy
    near = [line for line in honest if score(line) >= floor and line.accuracy >= inside and line.get(cost)]
    thrifty = min(near, key=lambda line: (line.get(cost), -score(line)), default=best)
    cheaper = thrifty is not best and (thrifty.get(cost) or 0) < (best.get(cost) or 0)
    ones = [line for line in honest if line.get("blocks") == 1]
    single = the_best(ones, cost) if ones and best.get("blocks") != 1 else None
    top = max(unpeeked(every), key=lambda line: line.accuracy)
    higher = top if chosen.validated and top.accuracy > best.accuracy else None
    return Answer(cell, every, chosen, best, higher, single, thrifty if cheaper else None, cost)


def cost_text(line: Line) -> list[tuple[str, str]]:
    """(what, how much) of everything that is known of the cost, for people."""
    told: list[tuple[str, Any, str]] = [
        ("columns", line.get("dim"), ""),
        ("parameters", line.get("parameters"), ""),
        ("FLOPs an image", line.get("flops"), ""),
        ("head parameters", line.get("head_parameters"), ""),
        ("the run took", line.get("seconds"), " s"),
    ]
    return [(what, number_text(value) + unit) for what, value, unit in told if isinstance(value, int | float)]


def number_text(value: float) -> str:
    """1234567 -> 1.23 M, for people."""
    if abs(value) >= 10_000:
        for unit in ("k", "M", "G", "T", "P"):
            value /= 1000
            if abs(value) < 1000:
                return f"{value:.3g} {unit}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"
