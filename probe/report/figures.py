"""Which figures the results give, and their data."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from probe.report import drawings
from probe.report.best import the_best, validation
from probe.report.figure import Figure, slug
from probe.report.grouping import CELL, Line
from probe.report.kinds import is_number
from probe.report.naming import brief
from probe.report.plots import WIDTH, render
from store.errors import BadValue

MOST = 12
"""Lines, names or classes that one figure shows."""
BY = (("class", "per_class"), ("group", "per_group"))


def cost_name(lines: Sequence[Line]) -> tuple[str, str, float]:
    """(column, axis, unit): parameters where every line knows them, else the columns of the concatenation."""
    if all(line.get("parameters") is not None for line in lines):
        return "parameters", "parameters of the backbones, millions", 1e6
    return "dim", "columns of the concatenation", 1.0


def cells(every: Sequence[Line]) -> dict[tuple[str, ...], list[Line]]:
    """(kind, dataset, target, split, setting) -> what can be compared there, those with most lines first."""
    found: dict[tuple[str, ...], list[Line]] = {}
    for line in every:
        found.setdefault(tuple(str(line.get(name)) for name in CELL), []).append(line)
    return dict(sorted(found.items(), key=lambda item: (item[0][0] != "probe", -len(item[1]))))


def figures(lines: Sequence[Line], more: Iterable[Figure] = ()) -> Iterator[Figure]:
    """Every figure that has something to show: the most telling first, then one of each kind in turn, with `more`."""
    every = cells(lines)
    probes = {cell: lines for cell, lines in every.items() if cell[0] == "probe"}
    kinds = [
        (figure for cell, lines in every.items() for figure in _front(cell, lines)),
        (figure for cell, lines in probes.items() for figure in _curves(cell, lines)),
        _fewshot(every),
        (figure for cell, lines in probes.items() for figure in _decay(cell, lines)),
        iter(more),
        *(_every_difference(probes, *key) for key in BY),
    ]
    for turn in zip_longest(*kinds):
        yield from (figure for figure in turn if figure is not None)


def write_figures(lines: Sequence[Line], more: Iterable[Figure], folder: Path) -> list[Path]:
    """Every figure as `<name>.svg` and `<name>.png`. Raises `BadValue`: no figure, or the folder cannot be written."""
    written = []
    try:
        for figure in figures(lines, more):
            folder.mkdir(parents=True, exist_ok=True)
            svg, png = render(figure.draw, figure.size)
            for suffix, data in (("svg", svg.encode()), ("png", png)):
                path = folder / f"{figure.name}.{suffix}"
                path.write_bytes(data)
                written.append(path)
    except OSError as error:
        raise BadValue(f"--figures {folder}: {error.strerror or error}") from error
    if not written:
        raise BadValue(
            "no figure: a comparison needs at least two concatenations; run python -m probe --features a --features a,b"
        )
    return written


def _where(cell: tuple[str, ...]) -> str:
    """As in `openmoji, subcategory, 5-way 1-shot`."""
    _, dataset, target, _, setting = cell
    return ", ".join([dataset, *([target] if target not in ("label", "None") else []), setting])


def _points(lines: Sequence[Line], column: str, unit: float) -> list[tuple[float, float, float | None, str]]:
    return [
        (line.get(column) / unit, 100 * line.accuracy, None if line.half is None else 100 * line.half,
         str(line.get("features")))
        for line in lines if line.get(column)
    ]  # fmt: skip


def pareto(lines: Sequence[Line], column: str) -> list[Line]:
    """The lines that no cheaper or equally cheap one reaches, cheapest first."""
    kept: list[Line] = []
    for line in sorted(lines, key=lambda line: (line.get(column), -line.accuracy)):
        if not kept or line.accuracy > kept[-1].accuracy:
            kept.append(line)
    return kept


def _front(cell: tuple[str, ...], lines: Sequence[Line]) -> Iterator[Figure]:
    column, axis, unit = cost_name(lines)
    known = [line for line in lines if line.get(column)]
    if len({line.get("features") for line in known}) < 3:
        return
    on = pareto(known, column)
    yield Figure(
        slug("cost", *cell), f"Accuracy and cost: {_where(cell)}",
        "Each point is a concatenation and a head. Nothing cheaper beats those on the line on the scored split, which "
        "chose that line; bars: 95 % intervals.",
        drawings.front(_points(known, column, unit), _points(on, column, unit), axis),
    )  # fmt: skip


def _curves(cell: tuple[str, ...], lines: Sequence[Line]) -> Iterator[Figure]:
    column, axis, unit = cost_name(lines)
    known = [line for line in lines if line.get(column)]
    series: dict[str, list[Line]] = {}
    for line in known:
        series.setdefault(str(line.get("family")), []).append(line)
    if len(series) < 2 or "cat" not in series:
        return
    joined = {}
    for family, members in series.items():
        best: dict[Any, list[Line]] = {}
        for line in members:
            size = line.get("blocks") if family.startswith("cat") else line.get(column)
            best.setdefault(size, []).append(line)
        if family != "single" and len(best) > 1:
            joined[family] = _points([the_best(best[size]) for size in sorted(best)], column, unit)
    yield Figure(
        slug("transfer", *cell), f"Accuracy against size: {_where(cell)}",
        "Concatenated (cat), with their heads averaged (cat-sub), wide or distilled. Lines join the best of a size, by "
        "validation where there is one.",
        drawings.curves({key: _points(members, column, unit) for key, members in series.items()}, axis, joined=joined),
    )  # fmt: skip


def _fewshot(every: Mapping[tuple[str, ...], Sequence[Line]]) -> Iterator[Figure]:
    """A figure for each dataset, target and classifier: a block for each concatenation, a bar for each setting."""
    found: dict[tuple[str, str, str], dict[str, dict[str, Line]]] = {}
    for cell, lines in every.items():
        for line in lines if cell[0] == "fewshot" else ():
            where = (cell[1], cell[2], str(line.get("method")))
            found.setdefault(where, {}).setdefault(str(line.get("features")), {})[cell[4]] = line
    for (dataset, target, method), rows in found.items():
        settings = sorted({setting for lines in rows.values() for setting in lines}, key=_natural)[:4]
        names = sorted(rows, key=lambda name: -max(line.accuracy for line in rows[name].values()))[:MOST]
        if len(names) < 2:
            continue
        groups = {
            setting: [
                (100 * rows[name][setting].accuracy, 100 * (rows[name][setting].half or 0.0))
                if setting in rows[name]
                else None
                for name in names
            ]
            for setting in settings
        }
        yield Figure(
            slug("fewshot", dataset, target, method), f"Few-shot: {dataset}, {method}",
            f"Mean accuracy over episodes of classes by {target}, all rows on the same episodes; bars: 95 % intervals.",
            drawings.bars([brief(name) for name in names], groups),
            (WIDTH, 1.2 + 0.24 * len(names) * max(len(settings), 2)),
        )  # fmt: skip


def _natural(text: str) -> list[Any]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text)]


def _decay(cell: tuple[str, ...], lines: Sequence[Line]) -> Iterator[Figure]:
    """A figure for each solver: the grid on val where there is one."""
    found: dict[str, dict[str, tuple[list[tuple[float, float]], float | None, str]]] = {}
    for line in lines:
        every = line.last.record.metrics.get("grid")
        told = every if isinstance(every, list) else []
        grid = [g for g in told if isinstance(g, Mapping) and is_number(g.get("weight_decay"))]
        on = "val_top1" if all(g.get("val_top1") is not None for g in grid) else "test_top1"
        best: dict[float, float] = {}
        for g in grid:
            if is_number(g.get(on)):
                best[g["weight_decay"]] = max(best.get(g["weight_decay"], 0.0), 100 * g[on])
        if len(best) > 2:
            name = brief(str(line.get("features")))
            found.setdefault(str(line.get("method")), {})[name] = (sorted(best.items()), line.get("weight_decay"), on)
    for method, curves in found.items():
        some = dict(sorted(curves.items(), key=lambda item: -max(y for _, y in item[1][0]))[:MOST])
        ons = {on.removesuffix("_top1") for _, _, on in some.values()}
        chosen = {
            name: (decay, dict(points)[decay]) for name, (points, decay, _) in some.items() if decay in dict(points)
        }
        yield Figure(
            slug("decay", *cell, method), f"Weight decay: {_where(cell)}, {method}",
            "Every member of the grid; a ring is the point that was chosen.",
            drawings.decay({name: points for name, (points, _, _) in some.items()}, chosen, "/".join(sorted(ons))),
        )  # fmt: skip


def _every_difference(probes: Mapping[tuple[str, ...], Sequence[Line]], what: str, key: str) -> Iterator[Figure]:
    for cell, lines in probes.items():
        yield from _differences(cell, lines, what, key)


def _differences(cell: tuple[str, ...], lines: Sequence[Line], what: str, key: str) -> Iterator[Figure]:
    """The best concatenation against the best single network, as probe/report/best.py chooses them, class by class or
    group by group, with the number of images behind each bar.
    """
    known = [line for line in lines if isinstance(line.last.record.metrics.get(key), Mapping)]
    ones, more = ([x for x in known if (x.get("blocks") == 1) is single] for single in (True, False))
    if not ones or not more:
        return
    one, many = the_best(ones), the_best(more)
    chosen = "best by validation" if None not in map(validation, (one, many)) else "highest on the scored split"
    a, b = one.last.record.metrics[key], many.last.record.metrics[key]
    samples = many.last.record.metrics.get(f"samples_{key}")
    counts = samples if isinstance(samples, Mapping) else {}
    both = [name for name in a if is_number(a[name]) and is_number(b.get(name))]
    gaps = sorted(((100 * (b[name] - a[name]), str(name)) for name in both), reverse=True)
    shown = gaps if len(gaps) <= 2 * MOST else gaps[:MOST] + gaps[-MOST:]
    if len(shown) < 2:
        return
    rest = "" if len(shown) == len(gaps) else f" The {MOST} largest gains and losses of {len(gaps)}."
    rest += (
        " n: scored images, of which one is 100/n points." if counts else " The records do not say of how many images."
    )
    bars = [f"{name}, n {counts[name]}" if name in counts else name for _, name in shown]
    names = [brief(str(line.get("features"))) for line in (one, many)]
    yield Figure(
        slug("difference", what, *cell), f"By {what}: {_where(cell)}",
        f"Accuracy of {names[1]} minus that of {names[0]}, each the {chosen} of its kind.{rest}",
        drawings.differences(bars, [gap for gap, _ in shown], "single", "cat"),
        (WIDTH, 1.0 + 0.22 * len(shown)),
    )  # fmt: skip
