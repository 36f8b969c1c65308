"""The parser of every command."""

import argparse

import pytest

from store.cli import build_parser
from store.flags import Parser, integers, numbers, size


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
