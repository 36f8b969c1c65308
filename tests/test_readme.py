"""Every command block of the README, run as a user would, in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOP = Path(__file__).parents[1]
README = (TOP / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a user stands; /data/pets of the README lies here."""
    folder, rng = tmp_path_factory.mktemp("user"), np.random.default_rng(0)
    for i, name in enumerate(("cat", "dog", "fish")):
        (folder / "pets" / name).mkdir(parents=True)
        for k in range(20):
            noise = rng.integers(0, 80, (40, 50, 3)) + np.eye(3, dtype=int)[i] * 120
            Image.fromarray(noise.astype(np.uint8)).save(folder / "pets" / name / f"{k}.jpg")
    return folder


def run(command: list[str], folder: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "FEATURE_STORE"}
    done = subprocess.run(
        command, cwd=folder, env=environment | {"PYTHONPATH": str(TOP)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def test_commands(empty_folder: Path) -> None:
    commands = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]
    assert len(commands) > 5
    for command in commands:
        words = shlex.split(command.replace("/data/pets", str(empty_folder / "pets")))
        if words[0] == "make":  # the target is there; running it here would run this test again
            assert run(["make", "-C", str(TOP), "-n", *words[1:]], empty_folder)
        else:
            assert words[0] == "python"
            assert run([sys.executable, *words[1:]], empty_folder)


def test_python(empty_folder: Path) -> None:
    for block in blocks("python"):
        assert run([sys.executable, "-c", block], empty_folder)
