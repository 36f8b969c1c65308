from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from extract.cli import main
from extract.config import ExtractConfig
from extract.extractor import run
from extract.plan import plan
from store.errors import RootError
from store.local import LocalRoot


@pytest.fixture
def config(tmp_path: Path) -> ExtractConfig:
    for name in ("cat", "dog"):
        (tmp_path / "images/train" / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(np.full((9, 9, 3), i, np.uint8)).save(tmp_path / f"images/train/{name}/{i}.png")
    dataset = f"folder:{tmp_path / 'images'}"
    return ExtractConfig(backbone=("pixels",), dataset=(dataset,), store=str(tmp_path / "store"), views=2)


def test_a_plan_says_what_is_missing_and_writes_nothing(config: ExtractConfig, tmp_path: Path) -> None:
    first, second = plan(config)
    assert (first.view, first.missing, first.bytes) == (0, 20, 20 * 768 * 2)
    assert (second.view, second.missing) == (1, 20)
    assert first.seconds > 0
    assert not (tmp_path / "store").exists()
    run(config)
    assert [(row.missing, row.bytes, row.seconds) for row in plan(config)] == [(0, 0, 0.0)] * 2


def test_what_the_disk_cannot_hold_is_refused(config: ExtractConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalRoot, "free_bytes", lambda self: 10_000)
    for command in (plan, run):
        with pytest.raises(RootError, match=r"the features need [\d.]+ kB, but 10 kB are free; free some room"):
            command(config)


def test_the_table(config: ExtractConfig, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--backbone", "pixels", "--dataset", config.dataset[0], "--store", config.store]
    assert main([*arguments, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[-7:-1] == ["0", "20", "0", "20", "30.7", "kB"]
    assert "to write, " in lines[-1]
    assert "are free; about 0.0 minutes here" in lines[-1]
