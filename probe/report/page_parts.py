"""The parts of the page that are plain HTML: the answer, figures, the paper's tables, how to read it."""

from collections.abc import Mapping, Sequence
from html import escape

from probe.report.answer import Answer, cost_text, number_text
from probe.report.figure import Figure
from probe.report.grouping import Line
from probe.report.kinds import is_number
from probe.report.layout import index_of
from probe.report.layouts import LAYOUTS
from probe.report.naming import brief
from probe.report.plots import inline, render_svg
from probe.report.rows import Result, Skipped
from probe.report.tables import Table
from probe.worst import TOLD

MOST_FIGURES = 8
MOST_SKIPPED = 50


def answer(found: Sequence[Answer], figure: Figure | None) -> str:
    """The first screen: the best of the target with most concatenations, what it costs, and the other targets."""
    first = found[0]
    best = first.best
    text = [
        f'<p class="eyebrow">{_chosen(first)} on {_cell(first)}</p>',
        f"<h1>{_name(best)}</h1>",
        f'<p class="big"><strong>{100 * best.accuracy:.1f}</strong><span>%{_half(best)}</span></p>',
        f"<p>{_against(first)}</p>",
        _higher(first),
        _overlap(best),
        '<dl class="cost">',
        *(f"<div><dt>{what}</dt><dd>{escape(much)}</dd></div>" for what, much in cost_text(best)),
        "</dl>",
        _thrifty(first),
    ]
    drawn = figure_html(figure) if figure else ""
    return f'<div class="hero"><div>{"".join(text)}</div>{drawn}</div>{_winners(found) if len(found) > 1 else ""}'


def _name(line: Line) -> str:
    full = str(line.get("features"))
    return f'<span title="{escape(full)}">{escape(brief(full))}</span>'


def _half(line: Line) -> str:
    return "" if line.half is None else f" ± {100 * line.half:.1f}"


def _points(found: Answer) -> str:
    """The gain in points, in colour where it is more than the intervals allow."""
    kind = "gain" if found.sure else "unsure"
    return f'<span class="{kind}">{"−" if (found.gain or 0) < 0 else "+"}{abs(found.gain or 0):.1f}</span>'


def _chosen(found: Answer) -> str:
    """`Best by validation of 4 results`, `Highest on test of 3 results, none validated`."""
    if len(found.lines) == 1:
        return "The only result"
    how = found.pick.told(" results")
    return escape(how[0].upper() + how[1:] + ("" if found.pick.validated else ", with no validation to choose by"))


def _cell(found: Answer) -> str:
    target, classes = found.cell["target"], found.best.get("classes")
    named = [found.cell["dataset"], *([target] if target not in ("label", "None") else []), found.cell["setting"]]
    drawn = [f"of {classes} classes"] if found.cell["kind"] == "fewshot" and classes else []
    return escape(" · ".join([*named, *drawn]))


def _against(found: Answer) -> str:
    if found.single is None:
        by = " by validation" if found.pick.validated and len(found.lines) > 1 else ""
        return f"One network: no concatenation of those tried is better{by}."
    one = f"{_name(found.single)} ({100 * found.single.accuracy:.1f} %)"
    same = "episodes" if found.cell["kind"] == "fewshot" else "images"
    doubt = (
        ""
        if found.sure
        else f" Both were scored on the same {same}: the intervals of two single results do not test their difference, "
        "and it is smaller than the two together."
    )
    return f"{_points(found)} points against the best single network, {one}.{doubt}"


def _higher(found: Answer) -> str:
    line = found.higher
    if line is None:
        return ""
    split = escape(str(line.get("split") or "test"))
    told = f"Highest on {split}: <b>{_name(line)}</b> with {100 * line.accuracy:.1f} %. Validation did not choose it"
    return f'<p class="tip">{told}, and {split} may not.</p>'


def _overlap(line: Line) -> str:
    shared = line.get("overlap")
    return f'<p class="tip"><b>Not apart:</b> {escape(str(shared))} (--allow-duplicates).</p>' if shared else ""


def _thrifty(found: Answer) -> str:
    line = found.thrifty
    if line is None:
        return ""
    part = 100 * line.get(found.cost) / found.best.get(found.cost)
    what = "parameters" if found.cost == "parameters" else "columns"
    told = f"<b>{_name(line)}</b> with {100 * line.accuracy:.1f} % has {part:.0f} % of the {what}"
    where = "lies, on val too, inside" if found.pick.validated else "lies inside"
    return f'<p class="tip">Nearly as good, and cheaper: {told} and {where} the interval of the best.</p>'


def _winners(found: Sequence[Answer]) -> str:
    names = {"parameters": "parameters", "dim": "columns"}
    mixed = len({one.cost for one in found}) > 1
    rows = []
    for one in found:
        cost, unit = one.best.get(one.cost), f" {names[one.cost]}" if mixed else ""
        rows.append([
            ("", _cell(one)),
            ("features", _name(one.best)),
            ("", escape(one.pick.how if len(one.lines) > 1 else "the only result")),
            ("n best", f"{100 * one.best.accuracy:.1f}{_half(one.best)}"),
            ("n", "" if one.gain is None else _points(one)),
            ("n", "" if cost is None else f"{number_text(cost)}{unit}"),
            ("features", _name(one.thrifty) if one.thrifty else ""),
        ])  # fmt: skip
    cost_head = "Cost" if mixed else names[found[0].cost].capitalize()
    head = ["Target", "Best", "Chosen", "Accuracy, %", "Over the best single", cost_head, "Nearly as good, cheaper"]
    return '<h2 class="below">The best of each target</h2>' + _table("The best of each target", head, rows)


def paired(results: Sequence[Result]) -> str:
    """Differences on the same episodes, as `python -m fewshot --compare` found them; the newest of each."""
    found: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for result in results:
        told = result.record.metrics.get("differences") if result.record.kind == "fewshot" else None
        for one in told if isinstance(told, list) else ():
            if not isinstance(one, Mapping) or not is_number(one.get("difference")):
                continue
            names = [str(one.get(name)) for name in ("a", "b", "on", "ways", "shots")]
            half = f" ± {100 * one['ci95']:.1f}" if is_number(one.get("ci95")) else ""
            found[str(result.values["dataset"]), *names] = [
                ("", escape(f"{brief(names[1])} − {brief(names[0])}")),
                ("features", escape(brief(names[2]))),
                ("", escape(f"{result.values['dataset']} · {names[3]}-way {names[4]}-shot")),
                ("n", f"{100 * one['difference']:+.1f}{half}".replace("-", "−")),
            ]
    if not found:
        return ""
    head = ["Difference", "On", "Episodes", "Points"]
    return '<h2 class="below">Paired, on the same episodes</h2>' + _table("Paired", head, list(found.values()))


def _table(label: str, head: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]]) -> str:
    """Rows of (class, HTML); heads are text, and stand to the right where the first row's numbers do."""
    classes = [kind.split()[0] if kind else "" for kind, _ in rows[0]] if rows else [""] * len(head)
    heads = "".join(f'<th scope="col" class="{k}">{escape(t)}</th>' for k, t in zip(classes, head, strict=True))
    body = "".join(
        "<tr>"
        + f'<th scope="row">{row[0][1]}</th>'
        + "".join(f'<td class="{kind}">{text}</td>' for kind, text in row[1:])
        + "</tr>"
        for row in rows
    )
    box = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}, scrollable">'
    return f"{box}<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"


def figures(drawn: Sequence[Figure]) -> str:
    if not drawn:
        return '<p class="note">A comparison needs at least two concatenations on one target.</p>'
    which = f"The first {MOST_FIGURES}; all" if len(drawn) >= MOST_FIGURES else "All"
    lead = f"{which} of them as SVG and PNG: <code>python -m probe.report --figures FOLDER</code>"
    return f'<p class="lead">{lead}</p><div class="figures">{"".join(map(figure_html, drawn))}</div>'


def figure_html(figure: Figure) -> str:
    title, caption = escape(figure.title), escape(figure.caption)
    svg = inline(render_svg(figure.draw, figure.size), figure.name, f"{figure.title}. {figure.caption}")
    return f'<figure><h3>{title}</h3><div class="drawn">{svg}</div><figcaption>{caption}</figcaption></figure>'


def paper(results: Sequence[Result]) -> str:
    """Every layout, those with numbers of ours first and open."""
    parts = [
        '<p class="lead">The numbers of Zhang and Bottou (ICML 2023), and ours beside them where there is a record. '
        "~ was read off a figure.</p>"
    ]
    index = index_of(results)
    counts = {name: layout.measured(index) for name, layout in LAYOUTS.items()}
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        layout = LAYOUTS[name]
        total = sum(len(section.entries) for section in layout.sections)
        note = f"{count} of {total} measured here" if count else f"not measured here; {total} numbers of the paper"
        summary = f'<summary><h3>{escape(name)}</h3> <span class="note">{note}</span></summary>'
        tables = "".join(map(_paper_table, layout.tables(index)))
        parts.append(f"<details{' open' if count else ''}>{summary}<p>{escape(layout.what)}.</p>{tables}</details>")
    return "".join(parts)


def _paper_table(table: Table) -> str:
    rows = [
        [("", escape(row[0].text)), *(("n best" if cell.best else "n", escape(cell.text)) for cell in row[1:])]
        for row in table.rows
    ]
    notes = escape("\n".join([*table.legend, *table.notes]))
    todo = f"<details><summary>Notes, and the commands of what is missing</summary><pre>{notes}</pre></details>"
    return f"<h4>{escape(table.title)}</h4>{_table(table.title, table.header, rows)}{todo if notes else ''}"


def about(store: str, results: Sequence[Result], skipped: Skipped) -> str:
    dates = sorted(result.record.created for result in results)
    records = len({result.record.id for result in results})
    facts = {
        "Accuracy": "share of the test samples that are right, or the mean over episodes, in per cent",
        "Interval": "95 %: Student's over runs with other seeds; of one run Wilson's over its samples, or normal over "
        "its episodes, which draw from the same images again and again: of new images and classes it says nothing",
        "Best": "of each dataset, target, split and setting the highest accuracy on val; where no result has one, the "
        "words say that it is the highest on the scored split, and of how many. What was chosen on the test split "
        "(select=paper, select=oracle) is listed, and not named best beside others",
        "Worst group": TOLD.removeprefix("worst group: ") + " samples",
        "Optimism": "points that choosing the head on the test split would have added",
        "Cost": "parameters and FLOPs (two for a multiply and add) of the backbones without heads, where features tell",
        "Store": store,
        "Records": f"{records:,}, from {dates[0][:8]} to {dates[-1][:8]}; a later run of the same replaces an earlier",
    }
    told = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    if not skipped:
        return f'<dl class="plain">{told}</dl>'
    rest = [f"and {len(skipped) - MOST_SKIPPED} more"] if len(skipped) > MOST_SKIPPED else []
    listed = escape("\n".join([*(f"{key}: {why}" for key, why in skipped[:MOST_SKIPPED]), *rest]))
    return f'<dl class="plain">{told}</dl><h3>Skipped, {len(skipped)}</h3><pre>{listed}</pre>'
