"""Group objectives through the command: made hospitals in which one column lies."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from probe.cli import main
from probe.ood.run import parse_row
from store.errors import BadValue, UnknownName
from store.heads import load_head
from store.records import read_records

TOP = Path(__file__).parents[3]
HOSPITALS = {"train": (0, 3, 4), "id_val": (0, 3, 4), "val": (1,), "test": (2,)}
AGREES = {0: 0.98, 3: 0.9, 4: 0.75, 1: 0.4, 2: 0.1}
"""How often the column that lies agrees with the label, by hospital."""
CLASSES = {"label": ["normal", "tumor"], "hospital": list("01234")}


def made_split(make_set, split, count, *, dataset="camelyon17", backbones=("a", "b"), hospitals=None):
    rng = np.random.default_rng(len(split))
    hospital_N = rng.choice(hospitals or HOSPITALS[split], count)
    y_N = rng.integers(0, 2, count)
    sign_N = 2 * y_N - 1
    lies_N = np.where(rng.random(count) < np.array([AGREES[int(h)] for h in hospital_N]), sign_N, -sign_N)
    for shift, backbone in enumerate(backbones):
        x = np.random.default_rng([shift, len(split)]).normal(size=(count, 6)).astype(np.float32)
        x[:, 0] += sign_N
        x[:, 1] = 1.5 * lies_N + 0.3 * x[:, 1]
        make_set(
            x, {"label": y_N, "hospital": hospital_N}, dataset=dataset, split=split, backbone=backbone, classes=CLASSES
        )
    return y_N, hospital_N


@pytest.fixture
def stored(root, make_set):
    for split, count in (("train", 600), ("id_val", 150), ("val", 150), ("test", 200)):
        made_split(make_set, split, count)
    return root.url


ARGV = ("--dataset", "camelyon17", "--group", "hospital", "--epochs", "3", "--lr", "0.02", "--seeds", "0,1")


def run_json(capsys, *argv):
    assert main([*ARGV, *argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_both_objectives_and_both_tunings_come_from_one_run(root, stored, capsys) -> None:
    argv = ("--store", stored, "--features", "ERM=a;b", "--features", "CAT=a,b", "--objective", "erm,vrex")
    document = run_json(capsys, *argv, "--penalty", "0,1,100", "--anneal", "0,10")
    rows = document["rows"]
    assert [(r["label"], r["features"], r["objective"]) for r in rows] == [
        (label, features, objective)
        for label, features in (("ERM", "a"), ("ERM", "b"), ("CAT", "a,b"))
        for objective in ("erm", "vrex")
    ]
    assert len(document["table"]) == 2 * 2 * 2
    for row in rows:
        assert len(row["grid"]) == (2 if row["objective"] == "erm" else 10)
        assert set(row["tunings"]) == {"iid", "ood"}
        for tuning, found in row["tunings"].items():
            role = {"iid": "id_val", "ood": "ood_val"}[tuning]
            assert set(found["accuracy_by_role"]) == {"id_val", "ood_val", "test"}
            assert set(found["accuracy_by_group"]) == set("01234")
            assert found["worst_group_accuracy"] == min(found["accuracy_by_group"].values())
            assert found["top1"] == pytest.approx(np.mean([run["top1"] for run in found["runs"]]))
            for run in found["runs"]:  # its own best, of all settings and epochs
                mine = [entry[tuning]["tuned_top1"] for entry in row["grid"] if entry["seed"] == run["seed"]]
                assert run[role] == pytest.approx(max(mine))
                assert run["accuracy_by_group"]["test"]["2"] == pytest.approx(run["top1"])
        assert row["top1"] == row["tunings"]["ood"]["top1"]  # what --select val heads
    records = list(read_records(root, "probe"))
    assert sorted(record.id for record in records) == sorted(row["record"] for row in rows)
    assert {record.config["objective"][0] for record in records} == {"erm", "vrex"}
    assert all(record.config["group"] == "hospital" for record in records)


def test_vrex_gives_up_a_column_whose_meaning_differs_between_groups(stored, capsys) -> None:
    argv = ("--store", stored, "--features", "a", "--objective", "erm,vrex", "--penalty", "100", "--seeds", "0")
    argv += ("--solver", "fullbatch", "--epochs", "300", "--lr", "2", "--weight-decay", "0")
    erm, vrex = run_json(capsys, *argv)["rows"]
    assert vrex["tunings"]["iid"]["top1"] > erm["tunings"]["iid"]["top1"] + 0.1
    assert vrex["tunings"]["ood"]["top1"] > erm["tunings"]["ood"]["top1"] + 0.1


def test_select_heads_the_row_and_changes_nothing_else(stored, capsys) -> None:
    argv = ("--store", stored, "--features", "a", "--objective", "vrex", "--penalty", "0,10")
    (iid,), (ood,) = (run_json(capsys, *argv, "--select", select)["rows"] for select in ("id_val", "ood_val"))
    assert (iid["tuning"], ood["tuning"]) == ("iid", "ood")
    assert iid["top1"] == ood["tunings"]["iid"]["top1"]
    assert ood["top1"] == iid["tunings"]["ood"]["top1"]


def test_penalty_0_is_erm_and_the_stored_head_scores_what_is_reported(root, stored, capsys) -> None:
    from store import open_features

    rows = run_json(capsys, "--store", stored, "--features", "a", "--objective", "vrex,erm", "--penalty", "0")["rows"]
    assert rows[0]["tunings"]["iid"]["top1"] == rows[1]["tunings"]["iid"]["top1"]
    run = rows[0]["tunings"]["ood"]["runs"][1]
    head = load_head(root, run["head"])
    x = open_features(root, "camelyon17", "test", "a")
    right = (x.read() @ head.weight.T + head.bias).argmax(1) == x.samples.label
    assert right.mean() == pytest.approx(run["top1"])


@pytest.mark.parametrize("solver", ["balanced", "fullbatch"])
def test_the_table_for_people(stored, capsys, solver) -> None:
    argv = (*ARGV, "--store", stored, "--features", "ERM=a;b", "--objective", "vrex,erm,groupdro", "--penalty", "0,10")
    assert main([*argv, "--solver", solver]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ")[0] == "features"
    for tuning in ("IID", "OOD"):
        assert all(f"{tuning}-tuned {name}" in lines[0] for name in ("vREx", "ERM", "groupDRO"))
    assert lines[2].count("+-") == 6
    text = "\n".join(lines)
    assert all(name in text for name in ("id_val/0", "ood_val/1", "test/2", "sd seed", "sd setting", "sd init"))
    assert "initialisations x seeds: ERM 2 x 2" in text
    assert "hospital of train: 0, 3, 4; id_val: 0, 3, 4; ood_val: 1; test: 2" in text


@pytest.mark.parametrize("solver", ["balanced", "fullbatch"])
def test_streaming_gives_what_memory_gives(stored, capsys, monkeypatch, solver) -> None:
    argv = ("--store", stored, "--features", "a,b[1:4]:l2", "--objective", "vrex,groupdro", "--penalty", "10")
    held = run_json(capsys, *argv, "--solver", solver)
    monkeypatch.setattr("probe.ood.run.hold", lambda splits, *_rest: (splits, 20))
    assert [row["grid"] for row in run_json(capsys, *argv, "--solver", solver)["rows"]] == [
        row["grid"] for row in held["rows"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["balanced", "fullbatch"])
def test_two_ranks_give_the_result_of_one(stored, capsys, solver) -> None:
    argv = [*ARGV, "--store", stored, "--features", "a", "--objective", "vrex,groupdro", "--solver", solver, "--json"]
    assert main(argv) == 0
    one = json.loads(capsys.readouterr().out)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "probe"]
    done = subprocess.run([*command, *argv], check=False, capture_output=True, text=True, cwd=TOP)
    assert done.returncode == 0, done.stderr
    for mine, theirs in zip(one["rows"], json.loads(done.stdout)["rows"], strict=True):
        for a, b in zip(mine["grid"], theirs["grid"], strict=True):
            assert b["iid"]["tuned_top1"] == pytest.approx(a["iid"]["tuned_top1"], abs=0.02)
            assert b["best_test_top1"] == pytest.approx(a["best_test_top1"], abs=0.02)


def test_groups_may_be_named_and_id_val_taken_from_val(root, make_set, capsys) -> None:
    for split, count in (("train", 200), ("val", 200), ("test", 200)):
        made_split(make_set, split, count, dataset="toy", backbones=("a",), hospitals=(0, 1, 2, 3, 4))
    argv = ["--dataset", "toy", "--store", root.url, "--features", "a", "--objective", "vrex", "--epochs", "1"]
    argv += ["--group", "hospital=0,3:1:2,4", "--json"]
    assert main(argv) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["groups"] == {"train": ["0", "3"], "id_val": ["0", "3"], "ood_val": ["1"], "test": ["2", "4"]}
    assert (row["group"], row["num_samples"]) == ("hospital", 95)
    assert main([*argv[:-3], "--group", "hospital=0,1,2,3,4", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert set(row["tunings"]) == {"iid"}  # val has no other group
    with pytest.raises(BadValue, match="--select ood_val: toy/val has no group that does not train"):
        main([*argv[:-3], "--group", "hospital=0,1,2,3,4", "--select", "ood_val"])


def test_mistakes(root, stored, make_set) -> None:
    def run(*argv: str) -> None:
        main(["--dataset", "camelyon17", "--store", stored, "--features", "a", "--epochs", "1", *argv])

    with pytest.raises(BadValue, match="--objective vrex needs --group COLUMN"):
        run("--objective", "vrex")
    with pytest.raises(UnknownName, match="unknown objective 'vreks'; nearest: vrex; there are erm, vrex, groupdro"):
        run("--objective", "vreks", "--group", "hospital")
    with pytest.raises(BadValue, match="--solver lbfgs minimises the mean loss alone; take balanced or fullbatch"):
        run("--objective", "vrex", "--group", "hospital", "--solver", "lbfgs")
    with pytest.raises(BadValue, match="--solver balanced is for group objectives: add --objective"):
        run("--solver", "balanced")
    with pytest.raises(BadValue, match="--penalty is of --objective vrex: add it, or leave out --penalty"):
        run("--objective", "erm", "--group", "hospital", "--penalty", "10")
    with pytest.raises(BadValue, match="--solver fullbatch takes every sample at every step: leave out --batch"):
        run("--objective", "erm", "--group", "hospital", "--solver", "fullbatch", "--batch", "8")
    with pytest.raises(BadValue, match="--select id_val is for --objective"):
        run("--select", "id_val")
    with pytest.raises(BadValue, match="--select kfold chooses without groups; take id_val or ood_val"):
        run("--objective", "vrex", "--group", "hospital", "--select", "kfold")
    with pytest.raises(UnknownName, match=r"unknown target column .* 'hospitl'; nearest: hospital"):
        run("--objective", "vrex", "--group", "hospitl")
    with pytest.raises(UnknownName, match=r"unknown hospital of camelyon17 '11'; nearest: 1; there are: 0, 1, 2, 3, 4"):
        run("--objective", "vrex", "--group", "hospital=0,11")
    with pytest.raises(BadValue, match="camelyon17/train: no sample of hospital '1'; it has: 0, 3, 4"):
        run("--objective", "vrex", "--group", "hospital=0,1")
    with pytest.raises(BadValue, match="camelyon17/val: no sample of hospital '2'; it has: 1"):
        run("--objective", "vrex", "--group", "hospital=0,3:2")
    with pytest.raises(BadValue, match="every sample is of hospital '3'; --objective needs two groups to train on"):
        run("--objective", "erm", "--group", "hospital=3")
    with pytest.raises(BadValue, match="write COLUMN or COLUMN=TRAIN"):
        run("--objective", "vrex", "--group", "hospital=0,3:1:2:4")
    with pytest.raises(BadValue, match="--batch 5: half of it is of each of 2 groups"):
        run("--objective", "vrex", "--group", "hospital", "--batch", "5")
    with pytest.raises(BadValue, match="every setting of vrex, seed 0, diverged: give a smaller --lr"):
        run("--objective", "vrex", "--group", "hospital", "--lr", "1e30", "--penalty", "1")
    for split in ("train", "val", "test"):
        y_N = np.arange(8) % 2
        make_set(np.ones((8, 2)), {"label": y_N, "style": np.full(8, -1)}, dataset="none", split=split)
    with pytest.raises(BadValue, match="none/train: no sample has a 'style': name another column"):
        main(["--dataset", "none", "--store", stored, "--features", "a", "--objective", "erm", "--group", "style"])


def test_rows_of_several_initialisations() -> None:
    assert parse_row("a,b") == ("a,b", ["a,b"])
    assert parse_row("CAT2 = a,b; c,d[0:4]:l2") == ("CAT2", ["a,b", "c,d[0:4]:l2"])
    for text in ("CAT2=", "=a", ";"):
        with pytest.raises(BadValue, match="write a,b or LABEL=a,b;c,d"):
            parse_row(text)


def test_images_on_two_sides_are_refused_or_told(root, make_set, capsys) -> None:
    rng = np.random.default_rng(0)
    for split, images_N in (("train", np.arange(120)), ("val", np.arange(120, 160)), ("test", np.r_[:4, 200:236])):
        y_N, hospital_N = np.arange(len(images_N)) % 2, np.arange(len(images_N)) // 2 % 2 + (split != "train")
        hospital_N[0] = 4
        x_ND = rng.normal(size=(len(y_N), 4))
        targets = {"label": y_N, "hospital": hospital_N}
        make_set(x_ND, targets, dataset="camelyon17", split=split, images_N=images_N, classes=CLASSES)
    argv = [*ARGV, "--features", "a", "--store", root.url, "--objective", "erm"]
    with pytest.raises(BadValue, match=r"4 of 40 images of camelyon17/test \(test\) stand in camelyon17/train"):
        main(argv)
    assert main([*argv, "--allow-duplicates"]) == 0
    told = capsys.readouterr().out
    assert "a: 4 images of train and test are the same" in told
    assert "worst group: of those with 10 or more" in told
    (record,) = read_records(root, "probe")
    assert record.metrics["overlap"] == {"train/test": 4}
    for found in record.metrics["tunings"].values():
        assert found["samples_per_group"]["4"] == 1
        assert found["worst_group"] in ("1", "2"), "not the hospital of one image"
