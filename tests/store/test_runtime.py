import errno
import logging

import pytest

from store import runtime
from store.errors import BadValue
from store.runtime import Progress, run_command


@pytest.mark.parametrize(
    ("environment", "rank", "size"),
    [
        ({}, 0, 1),
        ({"RANK": "3", "WORLD_SIZE": "8"}, 3, 8),
        ({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "4"}, 2, 4),
        ({"RANK": "1", "WORLD_SIZE": "2", "SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "9"}, 1, 2),
    ],
)
def test_rank_and_size(monkeypatch, environment, rank, size) -> None:
    for name in ("RANK", "WORLD_SIZE", "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (runtime.rank(), runtime.size()) == (rank, size)


def raising(error: BaseException):
    def main(argv):
        raise error

    return main


def test_what_a_command_exits_with(capsys) -> None:
    assert run_command("probe", lambda argv: 7) == 7
    assert run_command("probe", raising(BadValue("no such thing; run that"))) == 2
    assert capsys.readouterr().err == "probe: no such thing; run that\n"
    assert run_command("probe", raising(KeyboardInterrupt())) == 130
    assert "run the same command again" in capsys.readouterr().err
    assert run_command("probe", raising(OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300))) == 2
    assert "a name is too long for this file system: xxx" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        run_command("probe", raising(ZeroDivisionError()))


def test_progress_off_a_terminal_is_a_line_now_and_then(monkeypatch, caplog) -> None:
    now = [0.0]
    monkeypatch.setattr(runtime.time, "monotonic", lambda: now[0])
    with caplog.at_level(logging.INFO), Progress(100, "toy/train") as progress:
        for _ in range(10):
            now[0] += 10
            progress.update(10)
    assert [record.getMessage() for record in caplog.records] == [
        "toy/train: 30 of 100 images, 1.0/s, 70 s left",
        "toy/train: 60 of 100 images, 1.0/s, 40 s left",
        "toy/train: 90 of 100 images, 1.0/s, 10 s left",
    ]


def test_no_control_character_of_a_name_reaches_the_terminal(capsys) -> None:
    def main(_argv) -> int:
        logging.getLogger("extract").warning("%s is left out", "a\x1b[31m.png")
        raise BadValue("no 'b\x1b[2J.png'")

    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        assert run_command("extract", main, []) == 2
    finally:
        logging.getLogger().handlers[:] = before[0]
        logging.getLogger().setLevel(before[1])
    assert capsys.readouterr().err == "a?[31m.png is left out\nextract: no 'b?[2J.png'\n"
