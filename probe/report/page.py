"""One page with everything: a single file that opens from disk, asks the network for nothing and runs no foreign text.

Every name is escaped; the content security policy admits this file's own script and style by their hashes and nothing
else. Figures are inline SVG in the colours of the theme.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import islice
from pathlib import Path
from string import Template

from probe.report import page_parts
from probe.report.answer import answers
from probe.report.figure import Figure
from probe.report.figures import figures
from probe.report.grouping import group
from probe.report.page_data import embed, table_data
from probe.report.rows import Result, Skipped
from store.root import Root
from store.whole import written

POLICY = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; style-src-attr 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""Style attributes are those of the figures, which matplotlib writes."""


def write_page(root: Root, results: Sequence[Result], more: Iterable[Figure], skipped: Skipped, path: Path) -> Path:
    """Write the page; complete or not at all. Raises `BadValue`: the file cannot be written."""
    text = page(root.url, results, more, skipped)
    with written(path) as file:
        file.write(text.encode(errors="backslashreplace"))
    return path.resolve()


def page(store: str, results: Sequence[Result], more: Iterable[Figure], skipped: Skipped) -> str:
    """The whole document; `more` are figures beside those of the results."""
    lines = group(results)
    css, script = _beside("page.css"), _beside("page.js")
    drawn = list(islice(figures(lines, more), page_parts.MOST_FIGURES + 1))
    sections = {
        "figures": ("Figures", page_parts.figures(drawn[1:])),
        "paper": ("The paper beside", page_parts.paper(results)),
        "about": ("How to read this", page_parts.about(store, results, skipped)),
    }
    links = {"answer": "Answer", "results": "Results", "figures": "Figures", "paper": "Paper", "about": "About"}
    datasets = sorted({str(result.values["dataset"]) for result in results})
    return Template(_beside("page.html")).substitute(
        policy=POLICY.format(script=_hash(script), style=_hash(css)),
        title=escape(f"Motherlode: {', '.join(datasets[:3])}{' and more' if len(datasets) > 3 else ''}"),
        css=css,
        nav="".join(f'<a href="#{anchor}">{text}</a>' for anchor, text in links.items()),
        answer=page_parts.answer(answers(lines), drawn[0] if drawn else None) + page_parts.paired(results),
        sections="\n".join(_section(anchor, title, body) for anchor, (title, body) in sections.items()),
        count=f"{len(results):,}",
        store=escape(store),
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        data=embed(table_data(lines)),
        script=script,
    )


def _section(anchor: str, title: str, body: str) -> str:
    head = f'<h2 id="{anchor}-title">{escape(title)}</h2>'
    return f'<section id="{anchor}" aria-labelledby="{anchor}-title">{head}{body}</section>'


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode(errors='backslashreplace')).digest()).decode()}"
