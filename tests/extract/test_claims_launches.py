"""Real processes that share a store and nothing else: torchrun's ranks, two plain launches, some killed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from extract.config import ExtractConfig
from extract.extractor import run

TOP = Path(__file__).parents[2]
COUNT, BLOCK_ROWS = 40, 4
SCRIPT = f"""
import json, os, signal, sys
from dataclasses import asdict
from extract import extractor
from extract.config import ExtractConfig

pictures, store, killed_rank = sys.argv[1:]
rank = int(os.environ.get("RANK", "0"))
open_dataset = extractor.open_dataset

def opened(*args, **options):
    images = open_dataset(*args, **options)
    read = images.read
    def at_row(row):
        if rank == int(killed_rank) and row // {BLOCK_ROWS} == rank:  # while it works on its first block
            os.kill(os.getpid(), signal.SIGKILL)
        return read(row)
    object.__setattr__(images, "read", at_row)
    return images

extractor.open_dataset = opened
if "RANK" not in os.environ:  # two plain launches begin together
    print("ready", flush=True)
    sys.stdin.readline()
made = extractor.run(ExtractConfig(backbone=("pixels", "random:conv4"), dataset=("folder:" + pictures,), store=store,
    split=("train",), block_rows={BLOCK_ROWS}, batch_size=4, workers=1, precision="fp32"))
print(json.dumps([asdict(row) for row in made]), flush=True)
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    (top / "train/cat").mkdir(parents=True)
    for i in range(COUNT):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(top / f"train/cat/{i:02d}.jpg")
    return top


def alone(pictures: Path, store: Path) -> list[int]:
    """One process, the same work; returns how many images it extracted of each set."""
    config = ExtractConfig(
        backbone=("pixels", "random:conv4"), dataset=(f"folder:{pictures}",), split=("train",), store=str(store),
        block_rows=BLOCK_ROWS, batch_size=4, workers=1, precision="fp32",
    )  # fmt: skip
    return [row.extracted for row in run(config)]


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("whole")
    assert alone(pictures, store) == [COUNT, COUNT]
    return store


def stored_bytes(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("c.*") if path.is_file()}


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TOP), "OMP_NUM_THREADS": "1"}


def test_of_four_ranks_of_torchrun_one_is_killed(pictures: Path, whole: Path, tmp_path: Path) -> None:
    """torchrun ends every rank when one fails; `|| true` keeps it from noticing."""
    script, store = tmp_path / "script.py", tmp_path / "store"
    script.write_text(SCRIPT)
    shielded = ["sh", "-c", '"$0" "$@" || true', sys.executable, str(script), str(pictures), str(store), "2"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4", "--no-python"]
    done = subprocess.run(
        [*command, *shielded], cwd=TOP, env=environment(), capture_output=True, text=True, timeout=300, check=True
    )
    rows = [row for line in done.stdout.splitlines() if line.startswith("[{") for row in json.loads(line)]
    assert len(rows) == 3 * 2, f"three ranks say what they did\n{done.stderr}"
    assert {row["state"] for row in rows} == {"unfinished"}
    assert sum(row["extracted"] for row in rows) >= 2 * (COUNT - BLOCK_ROWS), "helping may do a block twice"
    assert not list(store.rglob("manifest.json"))
    assert alone(pictures, store) == [BLOCK_ROWS, BLOCK_ROWS], "a rerun does the rest"
    assert stored_bytes(store) == stored_bytes(whole)
    assert len(list(store.rglob("manifest.json"))) == 2


def launch(pictures: Path, store: Path) -> subprocess.Popen[str]:
    """A process of its own, at the point where it begins to extract once it is told so."""
    plain = {name: value for name, value in environment().items() if name not in ("RANK", "WORLD_SIZE")}
    command = [sys.executable, "-c", SCRIPT, str(pictures), str(store), "-1"]
    process = subprocess.Popen(command, cwd=TOP, env=plain, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_launches_share_a_root(pictures: Path, whole: Path, tmp_path: Path) -> None:
    both = [launch(pictures, tmp_path) for _ in range(2)]
    for process in both:
        begin(process)
    for process in both:
        process.communicate(timeout=300)
        assert process.returncode == 0
    assert stored_bytes(tmp_path) == stored_bytes(whole)
    assert len(list(tmp_path.rglob("manifest.json"))) == 2


def test_killed_at_any_moment_and_run_again_equals_an_uninterrupted_run(
    pictures: Path, whole: Path, tmp_path: Path
) -> None:
    process, start = launch(pictures, tmp_path / "timed"), time.monotonic()
    process.communicate("\n", timeout=300)
    seconds, rng, kills = time.monotonic() - start, random.Random(0), 0
    for _ in range(6):
        process = launch(pictures, tmp_path / "killed")
        begin(process)
        time.sleep(rng.uniform(0.2, 0.9) * seconds)
        process.send_signal(signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        process.communicate()
        kills += killed
        if kills == 3:
            break
        if not killed:  # it was quicker than the first: begin anew, and sooner
            shutil.rmtree(tmp_path / "killed")
            seconds /= 3
    assert kills
    process = launch(pictures, tmp_path / "killed")
    process.communicate("\n", timeout=300)
    assert process.returncode == 0
    assert stored_bytes(tmp_path / "killed") == stored_bytes(whole)
    assert len(list((tmp_path / "killed").rglob("manifest.json"))) == 2
