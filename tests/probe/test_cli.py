import json
import subprocess
import sys

import numpy as np
import pytest

from probe.cli import main, size
from store.errors import BadValue, MissingFeatures, UnknownName
from store.heads import load_head
from store.records import read_records


def blobs(rng, y_N, dim, spread=1.0):
    centres = np.random.default_rng(7).normal(size=(int(y_N.max()) + 1, dim))
    return (centres[y_N] * spread + rng.normal(size=(len(y_N), dim))).astype(np.float32)


@pytest.fixture
def stored(root, make_set):
    """Backbones a and b of openmoji, three splits; the root's path."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 240), ("val", 90), ("test", 120)):
        y_N = np.arange(count) % 3
        targets = {"label": y_N, "style": np.arange(count) % 2}
        for backbone, dim in (("a", 6), ("b", 10)):
            make_set(blobs(rng, y_N, dim), targets, dataset="openmoji", split=split, backbone=backbone)
    return root.url


def run_json(capsys, *argv):
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_one_row_has_its_keys_at_the_top(root, stored, capsys) -> None:
    row = run_json(capsys, "--features", "a,b", "--store", stored, "--group", "style")
    assert (row["features"], row["dim"]) == ("a,b", 16)
    assert 0.9 < row["top1"] <= 1
    assert row["top1_interval"][0] < row["top1"] <= row["top1_interval"][1]
    assert row["val_top1"] == max(member["val_top1"] for member in row["grid"])
    assert row["weight_decay"] in [member["weight_decay"] for member in row["grid"]]
    assert set(row["per_group"]) == {"0", "1"}
    assert row["worst_group_accuracy"] == min(row["per_group"].values())
    (record,) = read_records(root, "probe")
    assert record.id == row["record"]
    assert len(record.features) == 6
    assert record.metrics["top1"] == row["top1"]


def test_a_row_for_each_features(stored, capsys) -> None:
    document = run_json(capsys, "--features", "a", "--features", "b,a", "--store", stored)
    assert [row["dim"] for row in document["rows"]] == [6, 16]
    assert "top1" not in document
    assert main(["--features", "a", "--features", "b", "--store", stored]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| features")
    assert [line.split()[1] for line in lines[2:4]] == ["a", "b"]
    assert any("lbfgs, val: chosen on val" in line for line in lines)


def test_the_stored_head_scores_the_same(root, stored, capsys) -> None:
    from store import open_features

    row = run_json(capsys, "--features", "a:l2,b[2:8]", "--store", stored)
    head = load_head(root, row["head"])
    assert head.info["features"] == ["a:l2", "b[2:8]"]
    x = open_features(root, "openmoji", "test", "a,b")
    x_ND = x.read()
    a = x_ND[:, :6] / np.linalg.norm(x_ND[:, :6], axis=1, keepdims=True)
    logits = np.hstack([a, x_ND[:, 8:14]]) @ head.weight.T + head.bias
    assert (logits.argmax(1) == x.samples.label).mean() == pytest.approx(row["top1"])


def test_without_val_a_part_of_train_is_held_out(root, make_set, capsys) -> None:
    rng = np.random.default_rng(1)
    for split in ("train", "test"):
        y_N = np.arange(60) % 3
        make_set(blobs(rng, y_N, 4), {"label": y_N}, dataset="openmoji", split=split)
    row = run_json(capsys, "--features", "a", "--store", root.url)
    assert "a stratified fifth of train" in row["selection"]


@pytest.mark.parametrize("select", ["kfold", "paper", "oracle"])
def test_every_selection_says_what_it_did(stored, capsys, select) -> None:
    row = run_json(capsys, "--features", "a", "--store", stored, "--select", select)
    assert row["select"] == select
    assert {"kfold": "5 stratified folds", "paper": "chosen on the test split: optimistic"}.get(
        select, "optimistic"
    ) in row["selection"]
    if select != "kfold":
        assert row["top1"] == max(member["test_top1"] for member in row["grid"])


def test_mistakes(root, stored, make_set) -> None:
    with pytest.raises(MissingFeatures, match="run: python -m extract --backbone c --dataset openmoji --split train"):
        main(["--features", "a,c", "--store", stored])
    with pytest.raises(UnknownName, match="unknown solver 'lbfg'; nearest: lbfgs"):
        main(["--features", "a", "--store", stored, "--solver", "lbfg"])
    with pytest.raises(BadValue, match="give --features a,b,c"):
        main(["--store", stored])
    with pytest.raises(UnknownName, match=r"unknown target column .* 'lable'; nearest: label"):
        main(["--features", "a", "--store", stored, "--target", "lable"])
    with pytest.raises(BadValue, match="has columns 0 to 5"):
        main(["--features", "a[0:9999]", "--store", stored])
    with pytest.raises(BadValue, match="--device warp: not on this machine"):
        main(["--features", "a", "--store", stored, "--device", "warp"])
    with pytest.raises(SystemExit) as stop:
        main(["--features", "a", "--weight-decay", "1e-3,-1"])
    assert stop.value.code == 2
    for split in ("train", "val", "test"):
        make_set(np.ones((9, 2)), {"label": np.zeros(9, int)}, dataset="one", split=split)
    with pytest.raises(BadValue, match="every label is '0'; a head needs at least two classes"):
        main(["--features", "a", "--dataset", "one", "--store", stored])


def test_a_mistake_exits_2_without_a_traceback(stored) -> None:
    command = [sys.executable, "-m", "probe", "--features", "nothing", "--store", stored]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("probe: openmoji/train/nothing has no features")
    assert done.stdout == ""


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, probe.cli; probe.cli.build_parser().format_help(); print({'torch', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_sizes() -> None:
    assert [size(text) for text in ("4GB", "512m", "1.5g", "100")] == [4 * 10**9, 512 * 10**6, 1_500_000_000, 100]
