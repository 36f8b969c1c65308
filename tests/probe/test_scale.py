"""Streamed features, several ranks: the result is the one of memory and of one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from probe.cli import main
from probe.data import Held
from probe.memory import UNASKED, hold
from store.errors import BadValue

REPO = Path(__file__).parents[2]


@pytest.fixture
def stored(root, make_set):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 20))
    for split, count in (("train", 203), ("val", 61), ("test", 90)):
        y_N = np.arange(count) % 4
        y_N[5] = -1  # one without a label
        x = (centres[y_N] + rng.normal(size=(count, 20))).astype(np.float32)
        targets, options = {"label": y_N}, {"dataset": "openmoji", "split": split, "block_rows": 64, "dtype": "float16"}
        make_set(x[:, :12], targets, backbone="a", bad_rows={7: "truncated"}, **options)
        make_set(x[:, 12:], targets, backbone="b", **options)
    return root.url


def row_of(capsys, *argv):
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def stream_all(splits, budget, *rest):
    kept, pairs = hold(splits, 1 << 40, *rest)  # a budget that holds everything
    assert all(isinstance(split.data.pieces[0][0], Held) for split in kept.values())
    return splits, pairs


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "cosine", "ridge", "nearest", "knn"])
def test_streaming_gives_what_memory_gives(stored, capsys, monkeypatch, solver) -> None:
    argv = ["--features", "a,b[1:6]:l2", "--store", stored, "--solver", solver]
    argv += ["--epochs", "3"] if solver in ("sgd", "cosine") else []
    if solver == "lbfgs":  # the path's order of passes differs where features stream
        monkeypatch.setattr("probe.solvers.lbfgs.SHARED_START", 0.0)
    held = row_of(capsys, *argv)
    monkeypatch.setattr("probe.probing.hold", lambda *a: (a[0], UNASKED))
    streamed = row_of(capsys, *argv)
    assert held["num_samples"] == 88
    for one, other in zip(held["grid"], streamed["grid"], strict=True):
        assert one["val_nll"] == pytest.approx(other["val_nll"], rel=1e-6)
    assert held["top1"] == streamed["top1"]
    assert ("nll" in held) == (solver not in ("ridge", "nearest"))


def test_what_is_read_a_few_times_is_not_held_unasked(stored, capsys, monkeypatch) -> None:
    seen = {}

    def watched(splits, budget, solver, *rest):
        kept, pairs = hold(splits, budget, solver, *rest)
        seen[solver, budget] = {role: split.data.streamed for role, split in kept.items()}
        return kept, pairs

    monkeypatch.setattr("probe.probing.hold", watched)
    for solver, *flags in (("lbfgs",), ("ridge",), ("sgd", "--epochs", "1")):
        for extra in ([], ["--memory", "8GB"]):
            row_of(capsys, "--features", "a,b", "--store", stored, "--solver", solver, *flags, *extra)
    nothing = {"train": False, "val": False, "test": False}
    assert seen.pop(("lbfgs", None)) == {**nothing, "test": True}
    assert seen.pop(("ridge", None)) == dict.fromkeys(nothing, True)
    assert set(map(str, seen.values())) == {str(nothing)}


def test_a_budget_that_cannot_hold_the_solver_says_what_it_needs(stored) -> None:
    with pytest.raises(BadValue, match=r"--memory 1MB: lbfgs on 20 columns, 4 classes and 7 grid members needs \d+MB"):
        main(["--features", "a,b", "--store", stored, "--memory", "1MB"])
    with pytest.raises(BadValue, match="--solver knn copies all features"):
        main(["--features", "a,b", "--store", stored, "--memory", "4GB", "--solver", "knn"])


SOLVERS = ("lbfgs", "sgd", "ridge", "nearest")
EACH = """
import json, sys
import torch
from probe import ranks
from probe.config import ProbeConfig
from probe.probing import probe
from store.root import open_root

ranks.start(torch.device("cpu"))
rows = {}
for name in sys.argv[2:]:
    solver, _, precision = name.partition("-")
    options = {"epochs": 2, "device": "cpu", "select": "kfold", "folds": 2, "precision": precision or "auto"}
    config = ProbeConfig(features=("a:pca6,b",), solver=solver, **options)
    (rows[name],) = probe(open_root(sys.argv[1]), config, "a:pca6,b")
if ranks.is_first():
    print(json.dumps(rows))
ranks.stop()
"""


def output(*command: str) -> dict:
    env = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *command], check=False, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


def test_ranks_give_the_result_of_one(stored, tmp_path) -> None:
    script = tmp_path / "each.py"
    script.write_text(EACH)
    one = output(str(script), stored, *SOLVERS)
    two = output(*TORCHRUN, "2", str(script), stored, *SOLVERS)
    for solver in SOLVERS:
        assert two[solver]["top1"] == one[solver]["top1"]
        for a, b in zip(one[solver]["grid"], two[solver]["grid"], strict=True):
            if solver == "lbfgs":
                assert b["certificate"]["objective"] == pytest.approx(a["certificate"]["objective"], rel=1e-5)
            else:
                assert b["val_nll"] == pytest.approx(a["val_nll"], rel=1e-5)


def test_ranks_that_share_the_classes_give_the_result_of_one(stored, tmp_path) -> None:
    script = tmp_path / "each.py"
    script.write_text(EACH.replace('torch.device("cpu"))', 'torch.device("cpu"), "classes")', 1))
    solvers = ("lbfgs", "sgd", "nearest")  # nearest: every rank does the whole
    one = output(str(script), stored, *solvers)
    three = output(*TORCHRUN, "3", str(script), stored, *solvers)
    for solver in solvers:
        assert three[solver]["top1"] == one[solver]["top1"]
        for a, b in zip(one[solver]["grid"], three[solver]["grid"], strict=True):
            if solver == "lbfgs":
                assert b["certificate"]["objective"] == pytest.approx(a["certificate"]["objective"], rel=1e-4)
            else:
                assert b["val_nll"] == pytest.approx(a["val_nll"], rel=1e-5)


@pytest.mark.slow
def test_torchrun_prints_one_table(stored) -> None:
    argv = ("-m", "probe", "--features", "a,b", "--store", stored, "--json")
    assert output(*TORCHRUN, "2", "--no-python", sys.executable, *argv)["top1"] == output(*argv)["top1"]
