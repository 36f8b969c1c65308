"""Options that no run could use are refused before anything is read."""

import pytest

from probe.config import ProbeConfig
from probe.search.config import SearchConfig
from probe.solvers.grouped import GroupSettings
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
        ({"folds": 3}, "--folds 3 is of --select kfold: to --select val it says nothing"),
        ({"folds": 3, "select": "oracle"}, "--folds 3 is of --select kfold: to --select oracle it says nothing"),
        ({"id_val": "mine"}, "--id-val mine is for --objective"),
        ({"group": "site=a:b"}, "--group site=a:b: which groups train, tune and test is for --objective"),
        ({"val": "held", "test": "held"}, "--val held is the split that is scored"),
        ({"sub": True, "solver": "knn"}, "--sub averages linear heads, not those of knn"),
        ({"sub": True, "solver": "cosine"}, "--sub averages linear heads, not those of cosine"),
        ({"sub": True, "solver": "sgd", "average": ("x",)}, "--sub trains a head for each block, --average starts"),
        ({"memory": 1, "precision": "bfloat16"}, "--precision bfloat16 keeps the logits of every row"),
        ({"select": "best"}, "unknown --select 'best'.*one of val, kfold, paper, oracle, id_val, ood_val"),
        ({"solver": "sgd", "batch_norm": "on"}, "unknown --batch-norm 'on'.*one of affine, plain, none"),
        ({"precision": "float16"}, "unknown --precision 'float16'; nearest: bfloat16, float32"),
        (GROUPED | {"batch": 7}, "--batch 7: half of it is of each of 2 groups"),
        (GROUPED | {"folds": 3}, "--folds 3 is of --select kfold"),
        (GROUPED | {"select": "oracle"}, "--select oracle chooses without groups; take id_val or ood_val"),
        (GROUPED | {"predictions": True}, "goes without --views, --sub, --average and --predictions"),
        (GROUPED | {"objective": ("erm", "groupdro"), "anneal": (5,)}, "--anneal is of --objective vrex"),
        (GROUPED | {"sub": True}, "--objective erm goes without --views, --sub, --average and --predictions"),
    ],
)
def test_what_no_run_could_use(options, says) -> None:
    with pytest.raises(BadValue, match=says):
        ProbeConfig(features=("a",), **options)


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
        ProbeConfig(features=("a",), solver=solver, **options)


def test_what_a_solver_reads_passes() -> None:
    ProbeConfig(features=("a",), solver="sgd", lr=(0.1,), seeds=(0, 1), epochs=3, batch=1, batch_norm="none")
    ProbeConfig(features=("a",), solver="knn", k=(3,), temperature=0.1)
    ProbeConfig(features=("a",), test="train", test_dataset="another")
    ProbeConfig(features=("a",), select="kfold", folds=3)
    ProbeConfig(features=("a",), val="train")
    ProbeConfig(features=("a",), val="test", test_dataset="another")
    ProbeConfig(features=("a",), **GROUPED | {"group": "site=a:b", "id_val": "mine", "batch": 8})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"folds": 3}, "--folds 3 is of --select kfold"),
        ({"test": "train"}, "--test train is the split that heads are trained on"),
        ({"val": "held", "test": "held"}, "--val held is the split that is scored"),
        ({"select": "oracle"}, "unknown --select 'oracle'"),
        ({"solver": "balanced"}, "--solver balanced is for group objectives"),
        ({"seed": -1}, "--seed -1: at least 0"),
    ],
)
def test_what_no_search_could_use(options, says) -> None:
    with pytest.raises(BadValue, match=says):
        SearchConfig(features="a,b", **options)


@pytest.mark.parametrize(("options", "says"), [({"epochs": 0}, "--epochs 0"), ({"batch": 3}, "--batch 3: half of it"),
                                               ({"batch": 0}, "--batch 0"), ({"checks": 0}, "--checks 0")])  # fmt: skip
def test_what_no_training_by_groups_could_use(options, says) -> None:
    with pytest.raises(BadValue, match=says):
        GroupSettings(**{"epochs": 1, "batch": 2} | options)
