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


RUNS = {
    "lbfgs at its default": {"solver": "lbfgs"},
    "lbfgs": {"solver": "lbfgs", "tolerance": 1e-7},
    "lbfgs in bfloat16": {"solver": "lbfgs", "tolerance": 1e-7, "precision": "bfloat16"},
    "sgd": {"solver": "sgd"},
    "sgd in bfloat16": {"solver": "sgd", "precision": "bfloat16"},
    "cosine": {"solver": "cosine"},
    "ridge": {"solver": "ridge"},
    "nearest": {"solver": "nearest"},
}
NEAR = {"lbfgs at its default": 2e-4, "sgd in bfloat16": 1e-4}
"""Ends anywhere within its tolerance, 3e-5 of what it expects; each rank rounds its sums to bfloat16. Others: 1e-5."""
EACH = """
import json, sys
import torch
from probe import ranks
from probe.config import ProbeConfig
from probe.probing import probe
from store.root import open_root

ranks.start(torch.device("cpu"), sys.argv[2])
rows = {}
for name, options in json.loads(sys.argv[3]).items():
    options |= {"select": "kfold", "folds": 2}
    options |= {"weight_decay": (1e-5, 1e-2, 1.0)} if options["solver"] != "nearest" else {}
    options |= {"epochs": 2} if options["solver"] in ("sgd", "cosine") else {}
    config = ProbeConfig(features=("a:pca6,b",), device="cpu", **options)
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


def check_same(one: dict, several: dict) -> None:
    for name in several:
        assert several[name]["top1"] == one[name]["top1"]
        near = NEAR.get(name, 1e-5)
        for a, b in zip(one[name]["grid"], several[name]["grid"], strict=True):
            if name.startswith("lbfgs"):
                assert b["certificate"]["converged"]
                assert b["certificate"]["objective"] == pytest.approx(a["certificate"]["objective"], rel=near)
            else:
                assert b["val_nll"] == pytest.approx(a["val_nll"], rel=near)


def test_ranks_give_the_result_of_one(stored, tmp_path) -> None:
    script = tmp_path / "each.py"
    script.write_text(EACH)
    one = output(str(script), stored, "rows", json.dumps(RUNS))
    check_same(one, output(*TORCHRUN, "2", str(script), stored, "rows", json.dumps(RUNS)))
    by_classes = {name: run for name, run in RUNS.items() if run["solver"] in ("lbfgs", "sgd", "nearest")}
    check_same(one, output(*TORCHRUN, "3", str(script), stored, "classes", json.dumps(by_classes)))


@pytest.mark.slow
def test_torchrun_prints_one_table(stored) -> None:
    argv = ("-m", "probe", "--features", "a,b", "--store", stored, "--json")
    assert output(*TORCHRUN, "2", "--no-python", sys.executable, *argv)["top1"] == output(*argv)["top1"]
