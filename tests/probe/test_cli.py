import argparse
import json
import subprocess
import sys

import numpy as np
import pytest

from probe.cli import main, size
from store.cli import main as store
from store.errors import BadValue, MissingFeatures, UnknownName
from store.heads import StoredHead, load_head, save_head
from store.records import read_records
from store.root import open_root


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


def test_a_group_column_gives_a_line_for_each_group(stored, capsys) -> None:
    assert main(["--features", "a", "--features", "a,b", "--store", stored, "--group", "style"]) == 0
    text = capsys.readouterr().out
    head, _, *lines = text.split("\n\n")[1].splitlines()
    assert head.split() == ["group", "samples", "a", "a,b"]
    assert [line.split()[:2] for line in lines] == [["0", "60"], ["1", "60"]]
    worst = min(lines, key=lambda line: float(line.split()[2])).split()
    assert f"{worst[2]} ({worst[0]}), n 60" in text
    assert "worst group: of those with 10 or more" in text
    assert "top-5" not in text, "of three classes"


def test_imported_features_are_probed_though_each_split_has_a_file_of_its_own(stored, tmp_path, capsys) -> None:
    for split in ("train", "val", "test"):
        where = [str(tmp_path / f"{split}.npz"), "--dataset", "openmoji", "--split", split, "--store", stored]
        assert store(["export", *where, "--features", "a"]) == 0
        assert store(["import", *where, "--backbone", "x"]) == 0
    capsys.readouterr()
    assert run_json(capsys, "--features", "x,b", "--store", stored)["dim"] == 16


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
    assert lines[0].split()[:2] == ["features", "dim"]
    assert [line.split()[0] for line in lines[2:4]] == ["a", "b"]
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
        assert row["optimism_gap"] == 0


def test_the_paper_looks_at_the_last_epoch_and_the_oracle_at_all(stored, capsys) -> None:
    argv = ["--features", "a[0:3]:std", "--store", stored, "--solver", "sgd", "--epochs", "5", "--lr", "3"]
    argv += ["--batch", "64", "--decay-batch-norm"]
    argv += ["--weight-decay", "0,1e-3", "--seeds", "0,1", "--select"]
    paper, oracle = (run_json(capsys, *argv, select) for select in ("paper", "oracle"))
    curves = [member["test_top1_by_epoch"] for member in paper["grid"]]
    assert curves == [member["test_top1_by_epoch"] for member in oracle["grid"]]
    assert {len(curve) for curve in curves} == {5}
    assert [curve[-1] for curve in curves] == [member["test_top1"] for member in paper["grid"]]
    assert paper["top1"] == max(curve[-1] for curve in curves)
    assert oracle["top1"] == max(map(max, curves)) > paper["top1"]
    assert paper["optimism_gap"] == pytest.approx(oracle["top1"] - paper["top1"])
    assert oracle["optimism_gap"] == 0
    assert curves[0][oracle["epoch"] - 1] <= oracle["top1"]
    assert "after the last epoch, as upstream did: optimistic" in paper["selection"]
    assert f"(epoch {oracle['epoch']}): a bound, optimistic" in oracle["selection"]


@pytest.fixture
def other_test_set(stored, make_set):
    """Dataset `hard` with classes 2 and 0 of openmoji alone; its root's path, features and labels as openmoji's."""
    y_N = np.arange(60) % 2
    x = blobs(np.random.default_rng(5), np.where(y_N, 0, 2), 6, 0.4)
    make_set(x, {"label": y_N}, dataset="hard", split="test", classes={"label": ["2", "0"]})
    return x, np.where(y_N, 0, 2)


def test_a_test_set_from_another_dataset_is_scored_on_its_own_classes(
    root, stored, other_test_set, make_set, capsys
) -> None:
    x_ND, y_N = other_test_set
    row = run_json(capsys, "--features", "a", "--store", stored, "--test-dataset", "hard")
    head = load_head(root, row["head"])
    logits = x_ND @ head.weight.T + head.bias
    assert (logits.argmax(1) == 1).any()  # what the mask takes away
    logits[:, 1] = -np.inf
    assert row["top1"] == pytest.approx((logits.argmax(1) == y_N).mean())
    assert row["nll"] == pytest.approx(
        -(logits - np.log(np.exp(logits).sum(1, keepdims=True)))[range(60), y_N].mean(), rel=1e-4
    )
    assert (row["dataset"], row["test_dataset"], row["num_classes"]) == ("openmoji", "hard", 3)
    assert "top5" not in row, "of two classes it would be 1"
    assert set(row["per_class"]) == {"0", "2"}
    assert {feature["dataset"] for feature in next(iter(read_records(root, "probe"))).features} == {"openmoji", "hard"}

    make_set(x_ND, {"label": y_N // 2}, dataset="strange", split="test", classes={"label": ["2", "cat"]})
    with pytest.raises(BadValue, match=r"strange/test: 1 of its 2 classes are none of the 3 of openmoji, first 'cat'"):
        main(["--features", "a", "--store", stored, "--test-dataset", "strange"])
    make_set(x_ND, {"label": y_N // 2}, dataset="remade", split="test", weights="others", classes={"label": ["2", "0"]})
    with pytest.raises(BadValue, match=r"a: openmoji/train and remade/test \(test\) are of different weights"):
        main(["--features", "a", "--store", stored, "--test-dataset", "remade"])
    with pytest.raises(MissingFeatures, match="nowhere/test/a has no features"):
        main(["--features", "a", "--store", stored, "--test-dataset", "nowhere"])


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
    for text in ("inf", "4XB", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a size"):
            size(text)


def test_separate_heads_averaged_stand_beside_the_concatenation(root, stored, capsys) -> None:
    from store import open_features

    cat, logits, probabilities = run_json(capsys, "--features", "a,b", "--store", stored, "--sub")["rows"]
    assert logits["features"] == "a,b (sub, logits)"
    assert cat["num_parameters"] == 3 * 16 + 3
    assert logits["num_parameters"] == probabilities["num_parameters"] == 3 * 16 + 2 * 3
    heads = [load_head(root, run_json(capsys, "--features", name, "--store", stored)["head"]) for name in "ab"]
    x = [open_features(root, "openmoji", "test", name).read() for name in "ab"]
    each = [part @ head.weight.T + head.bias for part, head in zip(x, heads, strict=True)]
    label = np.arange(120) % 3
    assert logits["top1"] == pytest.approx((sum(each).argmax(1) == label).mean())
    soft = [np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in each]
    assert probabilities["top1"] == pytest.approx((sum(soft).argmax(1) == label).mean())
    assert probabilities["nll"] == pytest.approx(-np.log((sum(soft) / 2)[np.arange(120), label]).mean(), rel=1e-4)
    with pytest.raises(BadValue, match="--sub averages the heads of several blocks; a is one"):
        main(["--features", "a", "--store", stored, "--sub"])


def test_predictions_are_kept_per_sample(root, stored, capsys) -> None:
    import io

    import pyarrow.parquet as pq

    row = run_json(capsys, "--features", "a", "--store", stored, "--predictions")
    table = pq.read_table(io.BytesIO(root.get(row["predictions"]))).to_pydict()
    assert table["sample"][:2] == ["test/000000.png", "test/000001.png"]
    right = [guess == name for guess, name in zip(table["predicted"], table["class"], strict=True)]
    assert sum(right) / 120 == pytest.approx(row["top1"])
    assert [top[0] for top in table["top"]] == [int(name) for name in table["predicted"]]


def test_sgd_starts_from_the_average_of_stored_heads(stored, capsys) -> None:
    heads = [run_json(capsys, "--features", name, "--store", stored)["head"] for name in "ab"]
    argv = ["--features", "a,b", "--store", stored, "--solver", "sgd", "--epochs", "1", "--lr", "1e-9"]
    row = run_json(capsys, *argv, "--batch-norm", "none", "--average", ",".join(heads))
    sub = run_json(capsys, "--features", "a,b", "--store", stored, "--sub")["rows"][1]
    assert row["top1"] == pytest.approx(sub["top1"])


def test_heads_that_cannot_be_averaged_are_refused(stored, capsys) -> None:
    root = open_root(stored)
    dim = run_json(capsys, "--features", "a", "--store", stored)["dim"]
    argv = ["--features", "a", "--store", stored, "--solver", "sgd", "--average", "own"]
    for info, says in (
        ({"normalise": True}, "this head is not linear"),
        ({"classes": ["x", "y", "z"]}, r"this head has 3 classes \(x, y, z, ...\), openmoji has"),
    ):
        save_head(root, StoredHead(weight=np.zeros((3, dim)), bias=np.zeros(3), info=info), "own")
        with pytest.raises(BadValue, match=says):
            main(argv)


def test_views_take_turns(root, make_set, capsys) -> None:
    rng = np.random.default_rng(0)
    y_N = np.arange(90) % 3
    for view in range(2):
        x = blobs(rng, y_N, 4) if view else np.zeros((90, 4), np.float32)  # view 0 says nothing
        make_set(x, {"label": y_N}, dataset="openmoji", view=view)
    for split in ("val", "test"):
        make_set(blobs(rng, y_N, 4), {"label": y_N}, dataset="openmoji", split=split)
    argv = ["--features", "a:raw", "--store", root.url, "--solver", "sgd", "--epochs", "4", "--batch-norm", "none"]
    argv += ["--lr", "0.1", "--select", "kfold", "--folds", "2"]
    assert run_json(capsys, *argv, "--views", "2")["certificate"] != run_json(capsys, *argv)["certificate"]
    with pytest.raises(MissingFeatures, match="--views 3"):
        main([*argv, "--views", "3"])
    with pytest.raises(BadValue, match="--views is for --solver sgd and cosine: to lbfgs it says nothing"):
        main(["--features", "a", "--store", root.url, "--views", "2"])


def test_a_val_split_that_is_named_must_be_there(stored, capsys) -> None:
    row = run_json(capsys, "--features", "a", "--store", stored, "--val", "none")
    assert "a stratified fifth of train" in row["selection"]
    with pytest.raises(MissingFeatures, match="openmoji/vall/a has no features"):
        main(["--features", "a", "--store", stored, "--val", "vall"])


def test_list_shows_every_solver(capsys) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines][2:5] == ["lbfgs", "sgd", "cosine"]
