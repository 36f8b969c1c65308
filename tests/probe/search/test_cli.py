"""`python -m probe.search`: its scores are those of `python -m probe --solver ridge`, and mistakes are explained."""

import json
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from probe import cli
from probe.search.cli import main
from probe.search.memory import Plan
from probe.search.scores import Scorer
from store.errors import BadValue, MissingFeatures, SamplesMismatch, UnknownName, UserError

REPO = Path(__file__).parents[3]
NAMES = ("run0", "run1", "run2", "wide")
GRID = "1e-3,1e-1,1,10"


@pytest.fixture
def stored(root, make_set):
    """Four candidates of falling use; one row without a label, one bad in `run1` alone."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 22))
    for split, count in (("train", 160), ("val", 83), ("test", 70)):
        y_N = np.arange(count) % 5
        y_N[5] = -1
        x = (centres[y_N] * np.linspace(0.9, 0.2, 22) + rng.normal(size=(count, 22))).astype(np.float32)
        for name, columns in zip(NAMES, np.split(np.arange(22), [4, 8, 12]), strict=True):
            options = {"dataset": "openmoji", "split": split, "block_rows": 64, "dtype": "float16"}
            make_set(x[:, columns], {"label": y_N, "other": y_N % 2}, backbone=name, **options)
    return root.url


def found(capsys, *argv: str) -> dict:
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def probe(capsys, *argv: str) -> dict:
    assert cli.main([*argv, "--solver", "ridge", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("flags", [(), ("--select", "kfold", "--folds", "3"), ("--val", "none"), ("--target", "other")])
def test_every_subset_scores_as_the_ridge_probe(stored, capsys, flags) -> None:
    argv = ["--store", stored, "--weight-decay", GRID, *flags]
    rows = found(capsys, "--features", "run*,wide", "--confirm", "0", *argv)["subsets"]
    assert len(rows) == 15
    for row in rows[::4]:
        full = probe(capsys, "--features", row["features"], *argv)
        assert (row["val_top1"], row["weight_decay"]) == (full["val_top1"], full["weight_decay"]), row["features"]


def test_blocks_with_options_score_as_the_ridge_probe(stored, capsys) -> None:
    argv = ["--store", stored, "--weight-decay", GRID]
    rows = found(capsys, "--features", "run0:raw,wide[2:7],wide[7:]:raw", "--confirm", "0", *argv)["subsets"]
    assert len(rows) == 7
    for row in rows:
        full = probe(capsys, "--features", row["features"], *argv)
        assert (row["val_top1"], row["weight_decay"]) == (full["val_top1"], full["weight_decay"]), row["features"]


def test_what_a_search_says(stored, capsys, root) -> None:
    one = found(capsys, "--features", "run{0..2},wide", "--store", stored)
    assert one["how"] == "exhaustive"
    assert one["num_subsets"] == 15
    assert [len(one["subsets"][i]["members"]) for i in one["best_per_size"]] == [1, 2, 3, 4]
    top = [row["val_top1"] for row in one["subsets"]]
    assert top == sorted(top, reverse=True)
    whole = next(row for row in one["subsets"] if len(row["members"]) == 4)
    total = sum(candidate["shapley"] for candidate in one["candidates"])
    assert total == pytest.approx(whole["val_top1"] - one["chance"])
    assert all(c["shapley_interval"][0] <= c["shapley"] <= c["shapley_interval"][1] for c in one["candidates"])
    assert one["pareto"]["dim"] == one["pareto"]["stored_bytes"]
    assert one["subsets"][one["pareto"]["dim"][-1]]["val_top1"] == top[0]
    assert [row["features"] for row in one["confirmed"]] == [row["features"] for row in one["subsets"][:5]]
    assert one["command"] == f"python -m probe --features {one['subsets'][0]['features']} --store {stored}"
    assert one["blocks_made"] == 10
    record = json.loads(root.get(f"records/search/{next(iter(root.list('records/search')))}"))
    assert record["metrics"]["subsets"] == one["subsets"]
    assert len(record["features"]) == 12
    assert len(root.list("records/probe")) == 5
    assert main(["--features", "run*,wide", "--store", stored, "--confirm", "0"]) == 0
    told = capsys.readouterr().out
    parts = ("best of each size", "Shapley", "linear CKA", "errors in common", "nothing cheaper", "to probe the best")
    assert all(part in told for part in parts), told
    assert f"best: {one['subsets'][0]['features']}, {100 * top[0]:.2f}" in told
    assert f"enough: the smallest within one standard error: {one['subsets'][one['enough']]['features']}," in told
    assert "+" not in told.split("best of each size")[1].split("\n\n")[0]
    assert max(map(len, told.split("to probe the best")[0].splitlines()[1:])) < 120


@pytest.mark.parametrize("flags", [("--select", "kfold", "--folds", "5"), ("--val", "none")])
def test_memory_is_planned_for_the_rows_that_are_scored_however_large_a_unit_is(
    root, make_set, monkeypatch, flags
) -> None:
    """One unit has half of the rows."""
    unit_N = np.r_[np.zeros(60, int), 1 + np.arange(60)]
    for split, count in (("train", 120), ("test", 30)):
        for name in "ab":
            x_ND = np.random.default_rng(count).normal(size=(count, 4))
            targets = {
                "label": np.arange(count) % 3,
                "unit": unit_N[-count:] if split == "train" else 900 + np.arange(30),
            }
            make_set(x_ND, targets, dataset="openmoji", split=split, backbone=name)
    planned, scored = [], []
    monkeypatch.setattr("probe.search.run.plan_memory", lambda *a: planned.append(a[2]) or Plan(1000, 1))
    real = Scorer.__init__
    monkeypatch.setattr(Scorer, "__init__", lambda self, rounds, *a, **k: (
        scored.append([len(one.y_N) for one in rounds]), real(self, rounds, *a, **k))[1])  # fmt: skip
    assert main(["--features", "a,b", "--store", root.url, "--confirm", "0", *flags]) == 0
    assert planned == scored
    if "kfold" in flags:
        assert max(planned[0]) == 60, "the unit is one fold, more than a fifth"


def test_images_on_two_sides_are_refused_or_told(root, make_set, capsys) -> None:
    rng = np.random.default_rng(0)
    for split, images_N in (("train", np.arange(90)), ("val", np.arange(90, 120)), ("test", np.r_[:4, 200:230])):
        y_N = np.arange(len(images_N)) % 3
        for name in "ab":
            x_ND = rng.normal(size=(len(y_N), 4))
            make_set(x_ND, {"label": y_N}, dataset="openmoji", split=split, backbone=name, images_N=images_N)
    argv = ["--features", "a,b", "--store", root.url]
    with pytest.raises(BadValue, match=r"4 of 34 images of openmoji/test \(test\) stand in openmoji/train"):
        main(argv)
    assert found(capsys, *argv, "--allow-duplicates")["overlap"] == {"train/test": 4}
    assert main([*argv, "--allow-duplicates"]) == 0
    assert "not apart: 4 images of train and test are the same" in capsys.readouterr().out


def test_long_concatenations_are_told_by_number(stored, capsys, monkeypatch) -> None:
    monkeypatch.setattr("probe.search.table.WIDE", 10)
    assert main(["--features", "run*,wide", "--store", stored, "--confirm", "3"]) == 0
    told = capsys.readouterr().out
    numbers = dict(line.split()[1::-1] for line in told.split("points of top-1\n")[1].split("\n\n")[0].splitlines()[2:])
    assert sorted(numbers.values()) == ["1", "2", "3", "4"]
    best = told.split("\nbest: ")[1].split(", ")[0]
    assert told.split("confirmed\n")[1].splitlines()[2].startswith(" + ".join(numbers[one] for one in best.split(",")))
    assert "1 + 2 + 3 + 4" in told.split("best of each size")[1]


def test_rows_that_one_candidate_could_not_read_are_left_out_for_all(stored, capsys, make_set) -> None:
    for split, count in (("train", 160), ("val", 83)):
        x = np.random.default_rng(9).normal(size=(count, 3))
        y_N = np.where(np.arange(count) == 5, -1, np.arange(count) % 5)
        options = {"dataset": "openmoji", "split": split, "block_rows": 64, "bad_rows": {3: "truncated", 9: "empty"}}
        make_set(x, {"label": y_N, "other": y_N % 2}, backbone="torn", **options)
    argv = ["--store", stored, "--confirm", "0", "--weight-decay", "1e-1"]
    one = found(capsys, "--features", "run*,torn", *argv)
    assert one["num_samples"] == 83 - 1 - 2
    rows = {row["features"]: row["val_top1"] for row in one["subsets"]}
    make_set(np.random.default_rng(9).normal(size=(70, 3)), {"label": np.arange(70) % 5, "other": np.arange(70) % 2},
             dataset="openmoji", split="test", backbone="torn", block_rows=64)  # fmt: skip
    full = probe(capsys, "--features", "run0,run1,torn", "--store", stored, "--weight-decay", "1e-1")
    assert rows["run0,run1,torn"] == full["val_top1"]


def test_where_val_is_the_training_split_a_part_of_it_chooses(stored, capsys) -> None:
    argv = ["--features", "run*", "--store", stored, "--confirm", "0"]
    own, none = (found(capsys, *argv, "--val", split) for split in ("train", "none"))
    assert own["subsets"] == none["subsets"]
    assert own["num_samples"] < 60


def test_beyond_the_limit_a_greedy_walk(stored, capsys, caplog) -> None:
    argv = ["--features", "run*,wide", "--store", stored, "--confirm", "0"]
    one, every = found(capsys, *argv, "--limit", "14", "--orders", "4"), found(capsys, *argv)
    assert "4 candidates have 15 subsets of up to 4, more than --limit 14" in caplog.text
    assert one["how"] == "greedy"
    assert one["num_subsets"] < 15
    scores = {row["features"]: row["val_top1"] for row in every["subsets"]}
    assert all(row["val_top1"] == scores[row["features"]] for row in one["subsets"])
    few = found(capsys, *argv, "--budget", "2")
    assert few["num_subsets"] == 10
    assert max(len(row["members"]) for row in few["subsets"]) == 2


@pytest.mark.parametrize("plan", [Plan(17, 1), Plan(17, 2), Plan(83, 2)])
def test_chunks_of_rows_and_walks_at_a_time_change_nothing(stored, capsys, monkeypatch, plan) -> None:
    argv = ["--features", "run*,wide", "--store", stored, "--confirm", "0"]
    whole = found(capsys, *argv)
    monkeypatch.setattr("probe.search.run.plan_memory", lambda *_: plan)
    chunks = found(capsys, *argv)
    assert chunks["subsets"] == whole["subsets"]
    assert chunks["candidates"] == whole["candidates"]


@pytest.mark.parametrize(
    ("argv", "error", "text"),
    [
        (["run0"], BadValue, "run0 is one candidate; a search needs two or more"),
        (["run0,run0"], BadValue, "is one candidate"),
        (["swav*"], MissingFeatures, "match 'swav\\*' .*there is: run0, run1, run2, wide"),
        (["run0,run9"], MissingFeatures, "run9 has no features"),
        (["run*", "--budget", "0"], BadValue, "--budget 0: at least 1"),
        (["run*", "--budget", "4"], BadValue, "--budget 4: --features names 3 candidates; give 3 or fewer"),
        (["run*", "--limit", "0"], BadValue, "--limit 0: at least 1"),
        (["run*", "--memory", "1MB"], BadValue, r"too little: 3 candidates of 12 columns .* need \d"),
        (
            ["run0,run0[0:2]", "--weight-decay", "1,0"],
            BadValue,
            "depend on each other at weight decay 0: give a larger",
        ),
        (["run0:l2,run1"], BadValue, "run0:l2: a search takes standardised blocks"),
        (["run*", "--target", "lable"], UnknownName, "nearest: label"),
        (["run*", "--solver", "lbgs"], UnknownName, "nearest: lbfgs"),
        (["run*", "--test", "train"], BadValue, "--test train is the split that heads are trained on"),
        (["run*", "--select", "kfold", "--folds", "999"], BadValue, r"--folds 999: there are \d+ samples in train and"),
        (["run*", "--val", "dev", "--confirm", "0"], MissingFeatures, "openmoji/dev/run0 has no features"),
        (["run*", "--device", "gpu"], BadValue, "--device gpu"),
        ([""], BadValue, "give --features a,b,c"),
    ],
)
def test_mistakes(stored, argv, error, text) -> None:
    with pytest.raises(error, match=text):
        main(["--features", argv[0], "--store", stored, *argv[1:]])


def test_one_name_of_two_networks_is_refused(stored, make_set) -> None:
    for split, weights in (("train", "old"), ("val", "new")):
        options = {"dataset": "openmoji", "split": split, "weights": weights, "block_rows": 64}
        count = 160 if split == "train" else 83
        y_N = np.where(np.arange(count) == 5, -1, np.arange(count) % 5)
        make_set(np.ones((count, 3)), {"label": y_N, "other": y_N % 2}, backbone="again", **options)
    with pytest.raises(BadValue, match=r"again: openmoji/train and openmoji/val \(val\) are of different weights"):
        main(["--features", "run0,again", "--store", stored, "--confirm", "0"])


def test_sets_of_other_samples_are_refused(stored, make_set) -> None:
    for split in ("train", "val", "test"):
        make_set(np.ones((30, 2)), {"label": np.arange(30) % 5}, dataset="openmoji", split=split, backbone="short")
    with pytest.raises(SamplesMismatch, match="list other samples: one has 160 samples, the other 30"):
        main(["--features", "run0,short", "--store", stored])


def test_two_ranks_find_what_one_finds(stored, capsys) -> None:
    argv = ["--features", "run*,wide", "--store", stored, "--confirm", "2", "--select", "kfold", "--folds", "2"]
    one = found(capsys, *argv)
    env = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "probe.search", *argv, "--json"], check=False, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    two = json.loads(done.stdout)
    for name in ("subsets", "candidates", "redundancy", "pareto", "num_samples", "chance"):
        assert two[name] == one[name], name
    assert [row["solver_top1"] for row in two["confirmed"]] == [row["solver_top1"] for row in one["confirmed"]]


def test_greedy_finds_what_it_added(stored, capsys) -> None:
    """Every subset of the forward walk holds the one before it."""
    one = found(capsys, "--features", "run*,wide", "--store", stored, "--confirm", "0", "--limit", "3", "--orders", "0")
    members = {tuple(row["members"]) for row in one["subsets"]}
    assert {(i,) for i in range(4)} <= members
    assert tuple(range(4)) in members
    assert all(any(set(small) < set(big) for big in members) for small in combinations(range(4), 1))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--seed", "-1"), "--seed -1: at least 0"),
        (("--seed", "1" + "0" * 30), r"--seed 10{30}: at least 0, at most 9.22337e\+18"),
        (("--memory", "0"), "--memory 0: at least 1"),
        (("--orders", "1" + "0" * 20), r"--orders 100000000000000000000: at least 0, at most 1e\+06"),
        (("--solver", "balanced"), "--solver balanced is for group objectives, which a search has none of"),
        (("--solver", "nothing"), "unknown solver 'nothing'"),
    ],
)
def test_what_no_search_could_use_is_refused_before_anything_is_read(tmp_path, flags, says) -> None:
    with pytest.raises(UserError, match=says):
        main(["--features", "a,b", "--store", str(tmp_path / "none"), *flags])
