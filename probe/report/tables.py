"""A table, and how it looks in a terminal, Markdown, CSV and LaTeX. Names from outside stay text in all of them."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from store.tables import printable, text_table


@dataclass(frozen=True)
class Cell:
    text: str
    """For people."""
    value: Any = None
    """For machines: what CSV holds; None: the text."""
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    notes: Sequence[str] = ()
    marks: Sequence[str] = ()
    """What the mark of a best cell says: `best by validation of 4`."""
    legend: Sequence[str] = ()
    """Sentences that belong to the numbers, printed below them in every format but CSV."""


def accuracy_cell(accuracy: float | None, half: float | None = None, *, best: bool = False) -> Cell:
    """`78.0 ± 1.2` in per cent of shares in [0, 1]."""
    if accuracy is None:
        return Cell("")
    spread = "" if half is None else f" ± {100 * half:.1f}"
    return Cell(f"{100 * accuracy:.1f}{spread}", accuracy, best)


def value_cell(value: Any) -> Cell:
    if value is None:
        return Cell("")
    if isinstance(value, float):
        return Cell(f"{value:.4g}", value)
    return Cell(str(value), value if isinstance(value, int | str) else str(value))


def to_text(table: Table) -> str:
    marked = {i for row in table.rows for i, cell in enumerate(row) if cell.best}

    def shown(i: int, cell: Cell) -> str:
        return printable(cell.text) + (("*" if cell.best else " ") if i in marked and cell.text else "")

    lines = [table.title] if table.title else []
    lines.append(
        text_table(
            list(map(printable, table.header)), [[shown(i, cell) for i, cell in enumerate(row)] for row in table.rows]
        )
    )
    below = [*(f"* {mark}" for mark in table.marks), *table.legend, *table.notes]
    return "\n".join([*lines, *([""] if below else []), *map(printable, below)])


def to_markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    numeric = [all(_is_number(row[i]) for row in table.rows) for i in range(len(table.header))]
    rule = "|".join("---:" if right else "---" for right in numeric)
    rows = [[f"**{_markdown(c.text)}**" if c.best else _markdown(c.text) for c in row] for row in table.rows]
    title = [f"### {_markdown(table.title)}", ""] if table.title else []
    body = [line(list(map(_markdown, table.header))), f"|{rule}|", *map(line, rows)]
    below = [*(f"bold: {mark}" for mark in table.marks), *table.legend, *table.notes]
    return "\n".join([*title, *body, *(f"\n{_markdown(note)}" for note in below)])


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", printable(text))


def to_csv(table: Table) -> str:
    """Numbers in full. A text that a spreadsheet would take for a formula begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.header)
    for row in table.rows:
        writer.writerow([_csv(cell.text if cell.value is None else cell.value) for cell in row])
    return out.getvalue().rstrip("\n")


def _csv(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and re.match(r"[=+\-@\t\r]", value) else value


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "<": r"\textless{}", ">": r"\textgreater{}",
    "λ": r"$\lambda$", "→": r"$\rightarrow$", "−": "$-$", "×": r"$\times$",
}  # fmt: skip


def to_latex(table: Table) -> str:
    """A `tabular` for the package booktabs, what belongs to its numbers in small print below, notes as comments."""
    numeric = [all(_is_number(row[i]) for row in table.rows) for i in range(len(table.header))]

    def line(cells: Sequence[str]) -> str:
        return " & ".join(cells) + r" \\"

    rows = [[rf"\textbf{{{_latex(c.text)}}}" if c.best else _latex(c.text) for c in row] for row in table.rows]
    head = [rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}", r"\toprule"]
    body = [line(list(map(_latex, table.header))), r"\midrule", *map(line, rows), r"\bottomrule", r"\end{tabular}"]
    below = [*(f"bold: {mark}" for mark in table.marks), *table.legend]
    small = [rf"\par\smallskip{{\footnotesize {_latex('; '.join(below))}\par}}"] if below else []
    return "\n".join([*(f"% {printable(text)}" for text in (table.title, *table.notes) if text), *head, *body, *small])


def _latex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in printable(text))


def _is_number(cell: Cell) -> bool:
    return cell.text == "" or (cell.value is not None and not isinstance(cell.value, str))


FORMATS: dict[str, Callable[[Table], str]] = {
    "text": to_text,
    "markdown": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
}
