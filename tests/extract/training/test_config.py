"""Flags of the training commands that no run could use are refused before anything is read."""

import pytest

from extract.pretrain import main
from store.errors import BadValue

BASE = ["--dataset", "digits", "--arch", "conv4w0.25", "--recipe", "small", "--name", "tiny"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--epochs", "9" * 20], "--epochs 99999999999999999999: at least 1, at most 1e"),
        (["--snapshots", "9" * 20], "--snapshots 99999999999999999999: at least 0, at most 1e"),
        (["--checkpoint-seconds", "nan"], "--checkpoint-seconds nan: at least 0"),
        (["--checkpoint-seconds", "-1"], "--checkpoint-seconds -1: at least 0, at most 1e+09"),
        (["--target", ","], "--target names no column"),
        (["--image-size", "9" * 9], "--image-size 999999999: at least 8, at most"),
        (["--penalty", "inf"], "--penalty inf: at least 0"),
    ],
    ids=lambda part: " ".join(part)[:30] if isinstance(part, list) else "",
)
def test_numbers_have_bounds(flags: list[str], says: str) -> None:
    with pytest.raises(BadValue) as refused:
        main([*BASE, *flags])
    assert str(refused.value).startswith(says)


@pytest.mark.parametrize("seeds", ["0..999999999", "9" * 30, "0.." + "9" * 5000, "0..700,0..700"])
def test_seeds_have_bounds(seeds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*BASE, "--seed", seeds])
    assert ended.value.code == 2
    assert "seed" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "../up", "a" * 5000])
def test_names_that_cannot_be_folders(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*BASE, "--name", name])
    assert ended.value.code == 2
    assert "cannot be stored" in capsys.readouterr().err
