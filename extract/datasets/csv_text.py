"""A table in a text file, as spreadsheets, pandas and Windows write it: columns by name, cells without blanks around.

What is read otherwise than it stands in the file is told once.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from operator import ne
from pathlib import Path

from extract.datasets import warn_once
from store.errors import BadValue

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""The first bytes that say how the text is coded; without them it is UTF-8."""
SEPARATORS = {";": "semicolons", "\t": "tabs"}
"""Beside the comma."""
PORTION = 4096
"""Rows that become columns at a time: Python's collector of garbage looks at a list for each again and again."""


@dataclass(frozen=True)
class Table:
    columns: dict[str, list[str]]
    """Name -> cells, as many as there are lines."""
    lines: list[int]
    """Where each row ends in the file, from 1."""

    def __len__(self) -> int:
        return len(self.lines)


def read_bytes(path: Path) -> bytes:
    """Raises `BadValue`: there is no such file, or it is a pipe, a device or a folder."""
    try:
        if path.exists() and not path.is_file():
            raise BadValue(f"{path} is not a file")
        return path.read_bytes()
    except OSError as error:
        raise BadValue(f"{path}: {error.strerror}") from error


def read_table(path: Path, data: bytes, *, tell: bool = True) -> Table:
    """Every row of a CSV file. Raises `BadValue`, with the line, where it cannot be read as a table.

    `tell`: say what is read otherwise than it stands there; the list of a published dataset is as it was published.
    """
    text, separator = _text(path, data), ","
    first = text[: text.find("\n") + 1 or len(text)]
    if "," not in first:
        separator = next((mark for mark in SEPARATORS if mark in first), ",")
    if separator != "," and tell:
        warn_once(f"{path}: its columns are taken as separated by {SEPARATORS[separator]}")
    rows = _rows(path, text, separator)
    header = next(rows, (0, []))[1]
    names = [name.strip().strip("\ufeff") for name in header]
    kept = [i for i, name in enumerate(names) if name and not re.fullmatch(r"Unnamed: \d+", name)]
    if len(kept) < len(names) and tell:
        warn_once(f"{path}: {len(names) - len(kept)} columns without a name are left out; pandas writes its row "
                  "numbers so, unless it is told to_csv(FILE, index=False)")  # fmt: skip
    repeated = [names[i] for i in kept if names.count(names[i]) > 1] if len({*names}) < len(names) else []
    if repeated:
        raise BadValue(f"{path}: column {repeated[0]!r} occurs twice")
    lines, columns, some = list[int](), [list[str]() for _ in names], list[list[str]]()
    for line, row in rows:
        if "".join(row).strip():
            if len(row) != len(names):
                raise BadValue(f"{path}, line {line}: {len(row)} cells, but the first line has {len(names)} columns")
            lines.append(line)
            some.append(row)
            if len(some) == PORTION:
                _append(columns, some)
    _append(columns, some)
    stripped = {names[i]: list(map(str.strip, columns[i])) for i in kept}
    blanks = sum(sum(map(ne, columns[i], stripped[names[i]])) for i in kept)
    if blanks and tell:
        warn_once(f"{path}: {blanks} cells have blanks around their text, which are left out")
    return Table(stripped, lines)


def _append(columns: list[list[str]], rows: list[list[str]]) -> None:
    for column, cells in zip(columns, zip(*rows, strict=True), strict=bool(rows)):
        column.extend(cells)
    rows.clear()


def _text(path: Path, data: bytes) -> str:
    coding = next((coding for mark, coding in MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(coding)
    except UnicodeDecodeError as error:
        raise BadValue(f"{path} is not a CSV file in UTF-8: {error}; save it as such") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise BadValue(f"{path}, line {line}: a NUL byte, so it is not a CSV file in UTF-8; save it as such")
    return text


def _rows(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    before = 0
    try:
        for row in lines:
            yield lines.line_num, row
            before = lines.line_num
    except csv.Error as error:
        why = "a quote is opened and never closed" if "unexpected end" in str(error) else str(error)
        raise BadValue(f"{path} is not a CSV file: line {before + 1}: {why}") from error
