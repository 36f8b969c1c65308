"""The figures: functions from plain numbers to something that draws them on matplotlib axes."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from probe.report.naming import brief
from probe.report.plots import BLUE, CYCLE, INK, LOOKS, MUTED, PAPER, RED, Draw

Points = Sequence[tuple[float, float, float | None, str]]
"""(x, y, half of the interval, features)"""
MOST_BARS = 60
"""Points of a family beyond which their intervals would hide them."""
MOST_BOXES = 200
"""Points that names keep clear of."""
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo")


def curves(
    series: Mapping[str, Points], across: str, *, joined: Mapping[str, Points], per_cent: str = "accuracy, %"
) -> Draw:
    """Accuracy against cost on a logarithmic axis, a look for each family; `joined` are the lines through it."""

    def draw(ax: Any) -> None:
        for family, points in joined.items():
            look = LOOKS[family]
            ax.plot([p[0] for p in points], [p[1] for p in points], look.line, color=look.colour, zorder=2)
        for family, points in series.items():
            look = LOOKS[family]
            x, y = [p[0] for p in points], [p[1] for p in points]
            if len(points) <= MOST_BARS:
                ax.errorbar(
                    x, y, [p[2] or 0 for p in points], fmt="none", ecolor=look.colour, elinewidth=0.8, alpha=0.45
                )
            ax.plot(x, y, look.marker, color=look.colour, label=look.name, markeredgecolor=PAPER, markeredgewidth=0.7)
        _log_axis(ax, [p[0] for points in series.values() for p in points])
        ax.set(xlabel=across, ylabel=per_cent)
        _end_at_100(ax)
        ax.legend(loc="lower right", handletextpad=0.3)

    return draw


def front(points: Points, best: Points, across: str) -> Draw:
    """Every concatenation, and the line of those that nothing cheaper beats, with their names."""

    def draw(ax: Any) -> None:
        ax.plot(
            [p[0] for p in points],
            [p[1] for p in points],
            "o",
            color=MUTED,
            alpha=0.55,
            markersize=4.5,
            markeredgewidth=0,
        )
        x, y = [p[0] for p in best], [p[1] for p in best]
        ax.step(x, y, where="post", color=BLUE, alpha=0.5)
        ax.errorbar(x, y, [p[2] or 0 for p in best], fmt="none", ecolor=BLUE, elinewidth=0.8, alpha=0.45)
        ax.plot(x, y, "D", color=BLUE, markeredgecolor=PAPER, markeredgewidth=0.8, markersize=7)
        _log_axis(ax, [p[0] for p in points])
        ax.set(xlabel=across, ylabel="accuracy, %")
        ax.margins(y=0.12)
        _end_at_100(ax)
        _label(ax, best, [(p[0], p[1]) for p in points])

    return draw


def bars(
    names: Sequence[str], groups: Mapping[str, Sequence[tuple[float, float] | None]], per_cent: str = "accuracy, %"
) -> Draw:
    """Horizontal bars with error bars: a block for each name, a bar for each group, (value, half) or None."""

    def draw(ax: Any) -> None:
        height = 0.8 / max(len(groups), 1)
        low = min((v[0] - v[1] for values in groups.values() for v in values if v), default=0.0)
        floor = max(0.0, 5 * (low // 5) - 5)
        for k, (group, values) in enumerate(groups.items()):
            there = [(i, value) for i, value in enumerate(values) if value]
            y = [i + (k - (len(groups) - 1) / 2) * height for i, _ in there]
            ax.barh(y, [v[0] - floor for _, v in there], height * 0.88, left=floor, label=group,
                    color=CYCLE[k % len(CYCLE)], hatch=HATCHES[k % len(HATCHES)], edgecolor=PAPER,
                    linewidth=0)  # fmt: skip
            ax.errorbar(
                [v[0] for _, v in there], y, xerr=[v[1] for _, v in there], fmt="none", ecolor=INK, elinewidth=0.9
            )
            for place, (_, v) in zip(y, there, strict=True):
                ax.annotate(
                    f"{v[0]:.1f}", (v[0] + v[1], place), (4, 0), textcoords="offset points", va="center", fontsize=8
                )
        ax.set_yticks(range(len(names)), names, color=INK)
        ax.invert_yaxis()
        ax.grid(visible=False, axis="y")
        ax.grid(visible=True, axis="x")
        ax.set(xlabel=f"{per_cent}" + (f" (axis begins at {floor:g})" if floor else ""))
        ax.set_xlim(left=floor)
        ax.margins(x=0.12)
        if len(groups) > 1:
            ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(groups))

    return draw


def decay(
    grids: Mapping[str, Sequence[tuple[float, float]]], chosen: Mapping[str, tuple[float, float]], what: str
) -> Draw:
    """Accuracy against weight decay on `what`, a line for each concatenation, a ring where the choice fell."""

    def draw(ax: Any) -> None:
        styles = ("-", "--", "-.", ":")
        for k, (name, points) in enumerate(grids.items()):
            colour = CYCLE[k % len(CYCLE)]
            ax.plot([p[0] for p in points], [p[1] for p in points], styles[k // len(CYCLE) % 4], marker="o",
                    markersize=3.5, color=colour, label=name)  # fmt: skip
            if name in chosen:
                ax.plot(*chosen[name], "o", markersize=11, markerfacecolor="none", markeredgecolor=colour)
        tried = sorted({p[0] for points in grids.values() for p in points})
        least = min((value for value in tried if value > 0), default=1e-6)
        if tried[0] > 0:
            ax.set_xscale("log")
        else:
            ax.set_xscale("symlog", linthresh=least)
        ax.set_xticks(tried[:: 1 + len(tried) // 10], [f"{value:g}" for value in tried[:: 1 + len(tried) // 10]])
        ax.minorticks_off()
        ax.set(xlabel="weight decay", ylabel=f"accuracy on {what}, %")
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8.5)

    return draw


def differences(names: Sequence[str], points: Sequence[float], a: str, b: str) -> Draw:
    """Horizontal bars to both sides of zero: where `b` is better, and where worse, in points."""

    def draw(ax: Any) -> None:
        ax.barh(range(len(names)), points, 0.7, color=[BLUE if p >= 0 else RED for p in points])
        ax.axvline(0, color=MUTED, linewidth=0.8)
        for i, p in enumerate(points):
            ax.annotate(f"{p:+.1f}".replace("-", "−"), (p, i), (4 if p >= 0 else -4, 0), textcoords="offset points",
                        va="center", ha="left" if p >= 0 else "right", fontsize=8)  # fmt: skip
        ax.set_yticks(range(len(names)), names, color=INK)
        ax.invert_yaxis()
        ax.grid(visible=False, axis="y")
        ax.grid(visible=True, axis="x")
        ax.margins(x=0.14)
        ax.set(xlabel=f"points, {b} minus {a}")

    return draw


def values(names: Sequence[str], bars: Sequence[tuple[float, float, float]], what: str) -> Draw:
    """Points with intervals, (value, low, high), one below the other, beside a line at zero."""

    def draw(ax: Any) -> None:
        ax.axvline(0, color=MUTED, linewidth=0.8)
        for i, (value, low, high) in enumerate(bars):
            ax.plot([low, high], [i, i], color=BLUE, linewidth=1.4, alpha=0.6)
            ax.plot(value, i, "D", color=BLUE, markeredgecolor=PAPER, markeredgewidth=0.8, markersize=7)
            ax.annotate(f"{value:.1f}", (high, i), (6, 0), textcoords="offset points", va="center", fontsize=8)
        ax.set_yticks(range(len(names)), names, color=INK)
        ax.invert_yaxis()
        ax.grid(visible=False, axis="y")
        ax.grid(visible=True, axis="x")
        ax.margins(x=0.12)
        ax.set(xlabel=what)

    return draw


def matrix(names: Sequence[str], numbers: Sequence[Sequence[float]]) -> Draw:
    """A square of numbers, darker where they are high."""

    def draw(ax: Any) -> None:
        top = max((abs(v) for row in numbers for v in row), default=1.0) or 1.0
        for i, row in enumerate(numbers):
            for j, value in enumerate(row):
                share = abs(value) / top
                ax.add_patch(_square(j, i, BLUE, 0.08 + 0.8 * share))
                if len(names) <= 14:
                    ax.text(
                        j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color=PAPER if share > 0.62 else INK
                    )
        ax.set_xticks(range(len(names)), names, rotation=35, ha="right", color=INK)
        ax.set_yticks(range(len(names)), names, color=INK)
        ax.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), aspect="equal")
        ax.grid(visible=False)
        ax.tick_params(length=0)
        for side in ax.spines.values():
            side.set_visible(False)

    return draw


def _square(x: int, y: int, colour: str, alpha: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=colour, alpha=alpha, edgecolor="none")


def _label(ax: Any, points: Points, others: Sequence[tuple[float, float]]) -> None:
    """Names beside their points: of some places round each, the one that covers least of what is there already."""
    ax.autoscale_view()
    size, pixels = 8.5, ax.figure.dpi / 72
    thin = others[:: 1 + len(others) // MOST_BOXES]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in ax.transData.transform([*thin])]
    corners = ax.transData.transform([p[:2] for p in points])
    for (x, y), (right, up) in pairwise(corners):  # the steps between
        taken += [(x, y - 2, right, y + 2), (right - 2, min(y, up), right + 2, max(y, up))]
    inside = ax.bbox
    places = [(-7, 7), (7, -13), (7, 6), (-7, -13), (9, -3), (0, 10), (0, -16), (-7, 18), (-7, -24), (7, -24), (-7, 29),
              (-7, -35)]  # fmt: skip
    for (x, y, _, features), (px, py) in zip(points, corners, strict=True):
        name = brief(features)
        width, height = 0.56 * size * len(name) * pixels, 1.1 * size * pixels
        boxes = {}
        for dx, dy in places:
            left = px + dx * pixels - (width if dx < 0 else width / 2 if dx == 0 else 0)
            low = py + dy * pixels
            boxes[dx, dy] = (left, low, left + width, low + height)
        dx, dy = min(boxes, key=lambda at: (_covered(boxes[at], taken) + _outside(boxes[at], inside), places.index(at)))
        taken.append(boxes[dx, dy])
        ax.annotate(name, (x, y), (dx, dy), textcoords="offset points", fontsize=size, color=INK,
                    ha="right" if dx < 0 else "left" if dx else "center")  # fmt: skip


def _covered(box: tuple[float, ...], taken: Sequence[tuple[float, ...]]) -> float:
    """Area that `box` shares with others."""
    return sum(
        max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
        * max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
        for other in taken
    )


def _outside(box: tuple[float, ...], inside: Any) -> float:
    """Area beyond the axes, to the left and right."""
    beyond: float = (max(0.0, inside.x0 - box[0]) + max(0.0, box[2] - inside.x1)) * (box[3] - box[1])
    return beyond


def _end_at_100(ax: Any) -> None:
    """No accuracy is higher; a little room for its marker."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, min(high, 100 + 0.03 * (100 - low)))


def _log_axis(ax: Any, values: Sequence[float]) -> None:
    """Logarithmic, with plain numbers at 1, 2 and 5."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xscale("log")
    narrow = max(values) / min(values) < 30
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0.12)
