"""Tables for stdout: plain text, or JSON."""

import json
from collections.abc import Sequence


def text_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns padded to their widest cell, two spaces apart; numbers to the right, with a rule below the header."""
    header, cells = [printable(head) for head in header], [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(len(head), *(len(row[i]) for row in cells), 0) for i, head in enumerate(header)]
    right = [bool(rows) and all(_is_number(row[i]) for row in cells) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)]
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *(line(row) for row in cells)])


def printable(text: str) -> str:
    """Control characters, which could move a terminal's cursor or break a line, as a question mark."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def table_or_json(header: Sequence[str], rows: Sequence[Sequence[object]], *, as_json: bool) -> str:
    """A text table, or a JSON list with an object a row."""
    if as_json:
        return json.dumps([dict(zip(header, row, strict=True)) for row in rows], indent=1)
    return text_table(header, rows)


def bytes_text(count: float) -> str:
    """1234567 -> 1.23 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _is_number(cell: str) -> bool:
    try:
        float(cell.partition(" ±")[0].rstrip("%x* ").removeprefix("+-"))
    except ValueError:
        return cell.strip() in ("", "-")
    return True
