"""`--memory` is what the process really takes at most."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPO = Path(__file__).parents[2]
ROWS, DIM, CLASSES = 48000, 2048, 10
ROOM = 16 << 20
"""Beyond what a run says it needs: for curvature pairs, not for the features, which take 197 MB."""
REPORT = """
import sys
from probe.cli import main
from store.errors import BadValue
try:
    main(sys.argv[1:])
except BadValue as error:
    print(error, file=sys.stderr)
print(open("/proc/self/status").read(), file=sys.stderr)
"""


def run(*flags: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    command = [sys.executable, "-c", REPORT, "--features", "a", "--select", "paper", *flags]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stderr


@pytest.mark.slow
def test_the_budget_is_kept(root, make_set) -> None:
    rng = np.random.default_rng(0)
    for split, rows in (("train", ROWS), ("test", 100)):
        y_N = np.arange(rows) % CLASSES
        x_ND = rng.standard_normal((rows, DIM), dtype=np.float32)
        x_ND[:, :CLASSES] += 2 * np.eye(CLASSES, dtype=np.float32)[y_N]
        make_set(x_ND, {"label": y_N}, dataset="openmoji", split=split, dtype="float16", block_rows=1024)
    for solver, *more in (("lbfgs",), ("sgd", "--epochs", "1"), ("ridge",), ("nearest",)):
        grid = () if solver == "nearest" else ("--weight-decay", "1,0.1")
        argv = ("--store", root.url, "--solver", solver, *grid, *more)
        needed = re.search(r"needs (\d+)MB beside the features", run(*argv, "--memory", "1MB"))
        assert needed is not None
        budget = int(needed[1]) * 10**6 + ROOM
        status = run(*argv, "--memory", str(budget))
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert peak is not None, status
        assert int(peak[1]) * 1024 <= budget, f"{solver}: a budget of {budget}"
