import csv
import io

import pytest

from probe.report.tables import FORMATS, Cell, Table, accuracy_cell, value_cell

NAMES = ["<script>alert(1)</script>", "a|b`c_d*", "=1+1", "50 % & {x} ~^ \\", "esc\x1b[2J\nnew"]


@pytest.fixture
def table() -> Table:
    rows = [
        [Cell(name), value_cell(k), accuracy_cell(0.1 * k + 0.123456, 0.01, best=k == 4)]
        for k, name in enumerate(NAMES)
    ]
    return Table(header=["name", "dim", "accuracy"], rows=rows, title="T", notes=["note_1"])


def test_text(table) -> None:
    text = FORMATS["text"](table)
    assert "52.3 ± 1.0*" in text
    assert "\x1b" not in text
    assert len({line.find("±") for line in text.splitlines() if "±" in line}) == 1, "numbers stand below each other"


def test_markdown(table) -> None:
    lines = FORMATS["markdown"](table).splitlines()
    assert lines[3] == "|---|---:|---:|"
    assert lines[4].startswith(r"| \<script\>alert(1)\</script\> | 0 |")
    assert lines[5].startswith(r"| a\|b\`c\_d\* |")
    assert lines[8].endswith("| **52.3 ± 1.0** |")
    assert len(lines) == 11


def test_csv_is_exact_and_no_formula(table) -> None:
    rows = list(csv.reader(io.StringIO(FORMATS["csv"](table))))
    assert rows[0] == ["name", "dim", "accuracy"]
    assert rows[3][0] == "'=1+1"
    assert [float(row[2]) for row in rows[1:]] == [0.1 * k + 0.123456 for k in range(5)]


def test_latex(table) -> None:
    text = FORMATS["latex"](table)
    assert r"50 \% \& \{x\} \textasciitilde{}\textasciicircum{} \textbackslash{} & 3" in text
    assert r"\textless{}script\textgreater{}" in text
    assert r"\textbf{52.3 $\pm$ 1.0} \\" in text
    assert r"\begin{tabular}{lrr}" in text
