"""Every command of docs/REPRODUCE.md is read by the parser that it is for."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from fewshot.cli import read_config
from probe.report.layouts import LAYOUTS

TEXT = (Path(__file__).parents[1] / "docs" / "REPRODUCE.md").read_text()
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
PARSERS = {
    "extract": "extract.cli",
    "probe": "probe.cli",
    "probe.report": "probe.report.cli",
    "fewshot": "fewshot.cli",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_read(command: str) -> None:
    words = shlex.split(command)
    assert words[:2] == ["python", "-m"]
    parser = import_module(PARSERS.get(words[2], words[2])).build_parser()
    options = parser.parse_args(words[3:])
    if words[2] == "fewshot":
        read_config(options)


def test_every_layout_has_a_row_of_costs() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [*LAYOUTS]
