"""Options that no run could use are refused before anything is read."""

import pytest

from probe.check import check
from probe.config import ProbeConfig
from store.errors import BadValue

GROUPED = {"objective": ("erm",), "group": "style", "solver": "balanced"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"folds": 1, "select": "kfold"}, "--folds 1: at least 2"),
        ({"epochs": 0}, "--epochs 0: at least 1"),
        ({"k": (3, 0)}, "--k 0: at least 1"),
        ({"temperature": float("nan")}, "--temperature nan: above 0, and finite"),
        ({"tolerance": 0.0}, "--tolerance 0: above 0, and below 1"),
        ({"memory": -5}, "--memory -5: at least 1"),
        ({"seed": -1}, "--seed -1: at least 0"),
        ({"solver": "sgd", "epochs": 10**20}, r"--epochs 100000000000000000000: at least 1, at most 1e\+06"),
        ({"weight_decay": (float("nan"),)}, "--weight-decay nan: at least 0"),
        ({"solver": "sgd", "seeds": (0, 10**20)}, r"--seeds 100000000000000000000: at least 0, at most 9.22337e\+18"),
        ({"solver": "cosine", "lr": (1e300,)}, r"--lr 1e\+300: at least 0, at most 1e\+38"),
        ({"solver": "sgd", "batch": 1}, "--batch 1: one row has no variance"),
        ({"test": "train"}, "--test train is the split that heads are trained on"),
        ({"solver": "ridge", "shard": "classes"}, "--shard classes: heads of lbfgs and sgd can be shared out"),
        (GROUPED | {"test_dataset": "another"}, "--test-dataset is for plain probing: with --objective"),
        (GROUPED | {"sub": True}, "--objective erm goes without --views, --sub, --average and --predictions"),
    ],
)
def test_what_no_run_could_use(options, says) -> None:
    with pytest.raises(BadValue, match=says):
        check(ProbeConfig(features=("a",), **options))


@pytest.mark.parametrize(
    ("solver", "options", "says"),
    [
        ("knn", {"weight_decay": (1.0,)}, "--weight-decay is for --solver lbfgs, sgd, cosine, ridge, sklearn, "),
        ("lbfgs", {"lr": (1.0,)}, "--lr is for --solver sgd, cosine, balanced and fullbatch: to lbfgs it says nothing"),
        ("lbfgs", {"views": 2}, "--views is for --solver sgd and cosine: to lbfgs it says nothing"),
        ("ridge", {"epochs": 3}, "--epochs is for --solver sgd"),
        ("cosine", {"batch_norm": "none"}, "--batch-norm is for --solver sgd: to cosine it says nothing"),
        ("lbfgs", {"average": ("x",)}, "--average is for --solver sgd: to lbfgs"),
        ("sgd", {"k": (3,)}, "--k is for --solver knn: to sgd"),
        ("cosine", {"precision": "bfloat16"}, "--precision is for --solver lbfgs and sgd: to cosine"),
    ],
)
def test_an_option_that_the_solver_does_not_read(solver, options, says) -> None:
    with pytest.raises(BadValue, match=says):
        check(ProbeConfig(features=("a",), solver=solver, **options))


def test_what_a_solver_reads_passes() -> None:
    check(ProbeConfig(features=("a",), solver="sgd", lr=(0.1,), seeds=(0, 1), epochs=3, batch=1, batch_norm="none"))
    check(ProbeConfig(features=("a",), solver="knn", k=(3,), temperature=0.1))
    check(ProbeConfig(features=("a",), test="train", test_dataset="another"))
