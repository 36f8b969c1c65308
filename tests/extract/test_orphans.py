"""A rank that died leaves nothing undone, and one that is alive is waited for."""

import json
import threading
import time
from pathlib import Path

import pytest

from extract import orphans
from extract.cli import main
from extract.extractor import run
from tests.extract.conftest import config, stored_bytes


@pytest.fixture(autouse=True)
def of_two_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(orphans, "LEAST_SECONDS", 0.5)
    monkeypatch.setattr(orphans, "UNKNOWN_SECONDS", 0.5)


def whole(pictures: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    with monkeypatch.context() as patch:
        patch.setenv("WORLD_SIZE", "1")
        patch.setenv("RANK", "0")
        run(config(pictures, store))
    return stored_bytes(store)


def test_what_a_lost_rank_left_is_done(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = config(pictures, tmp_path / "two", split=("train", "test"))
    train, test = orphans.run_to_the_end(asked)
    assert (train.extracted, train.state, test.extracted, test.state) == (40, "extracted", 10, "extracted")
    assert "nothing has come for" in caplog.text
    train_alone = whole(pictures, tmp_path / "one", monkeypatch)
    assert train_alone.items() <= stored_bytes(tmp_path / "two").items()


def test_a_living_rank_is_waited_for(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked, run_once = config(pictures, tmp_path), orphans.run

    def then_the_other(*_: object) -> list[orphans.Made]:
        made = run_once(asked)
        threading.Timer(0.2, lambda: run_once(asked, orphans=True)).start()  # in its stead, and in time
        return made

    monkeypatch.setattr(orphans, "run", then_the_other)
    monkeypatch.setattr(orphans, "LEAST_SECONDS", 8.0)
    start = time.monotonic()
    (row,) = orphans.run_to_the_end(asked)
    assert (row.extracted, row.state) == (24, "complete")
    assert time.monotonic() - start < 7
    assert "lost" not in caplog.text
    assert stored_bytes(tmp_path) == whole(pictures, tmp_path / "one", monkeypatch)


def test_the_command_does_it(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--backbone", "pixels", "--dataset", f"folder:{pictures}", "--store", str(tmp_path), "--split", "train"]
    assert main([*flags, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["extracted"], row["state"]) == (40, "extracted")
