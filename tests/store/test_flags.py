"""The parser of every command."""

import argparse

import pytest

from store.cli import build_parser
from store.errors import BadValue
from store.flags import Parser, check_number, integers, numbers, shown, size


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ls", "--stroe", "x"], "store: unknown: --stroe; nearest: --store; all flags: python -m store --help\n"),
        (["export", "f.npz", "--ovewrite=1", "--dataset", "d", "--split", "s", "--features", "a"],
         "store: unknown: --ovewrite=1; nearest: --overwrite; all flags: python -m store --help\n"),
        (["verify", "--zzz"], "store: unknown: --zzz; all flags: python -m store --help\n"),
        (["gc", "--age", "x"],
         "store gc: argument --age: invalid float value: 'x'; all flags: python -m store gc --help\n"),
    ],
)  # fmt: skip
def test_a_wrong_flag_is_told_in_one_line_with_the_nearest(words, says, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        build_parser().parse_args(words)
    assert capsys.readouterr().err == says


def test_flags_of_groups_are_known_too(capsys) -> None:
    parser = Parser(prog="python -m x")
    parser.add_argument_group("more").add_argument("--episodes")
    with pytest.raises(SystemExit):
        parser.parse_args(["--episode-s", "5"])
    assert "nearest: --episodes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("read", "text"), [(numbers, "1,x"), (numbers, "nan"), (numbers, ""), (integers, "1.5"), (size, "4GBB")]
)
def test_what_is_no_number_is_refused(read, text) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"such as|finite"):
        read(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 10**5000], ids=["nan", "inf", "-1", "5000 digits"])
def test_numbers_out_of_bounds_are_told_in_short(value: float) -> None:
    with pytest.raises(BadValue, match=r"--epochs .*: at least 1, at most 100") as refused:
        check_number("--epochs", value, 1, 100)
    assert len(str(refused.value)) < 120


def test_what_was_typed_reaches_the_terminal_without_control_characters() -> None:
    assert shown("bad \x1b[2J name\nnext line") == "bad ?[2J name\nnext line"
    assert len(shown("x" * 5000)) < 700
