"""Camelyon17 in small, made: networks trained on it, Bonsai's rounds, and the way from there to WILDS' files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from extract import bonsai, finetune, pretrain
from extract.bonsai import answers_of, copies, taught
from extract.cli import main as extract
from extract.trained import describe
from extract.training.config import TrainConfig
from extract.training.labelled import open_labelled
from probe.cli import main as probe
from store.errors import BadValue

HEADER = "id,patient,node,x_coord,y_coord,tumor,slide,center,split"
ARCH = ("--arch", "conv4w0.25")


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with 240 patches of five hospitals: tumours are dark in the middle, hospitals differ in colour, and
    every ninth label is wrong.
    """
    top = tmp_path_factory.mktemp("camelyon")
    rng, lines = np.random.default_rng(0), [HEADER]
    for k in range(240):
        center, tumor = k % 5, int(rng.integers(2))
        patient, node, x = f"{20 * center + 4:03d}", k % 3, 96 * k
        lines.append(
            f"{k},{patient},{node},{x},0,{tumor ^ (k % 9 == 0)},{10 * center + k % 2},{center},{int(k % 6 == 5)}"
        )
        pixels = rng.normal(170 + 8 * center, 30, (96, 96, 3)) + 10 * center * np.array([1, -1, 0])
        pixels[32:64, 32:64] -= 90 * tumor
        name = f"patient_{patient}_node_{node}"
        file = top / f"camelyon17/camelyon17_v1.0/patches/{name}/patch_{name}_x_{x}_y_0.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file)
    (top / "camelyon17/camelyon17_v1.0/metadata.csv").write_text("\n".join(lines) + "\n")
    return top


def flags(top: Path, *more: str) -> list[str]:
    argv = [
        "--dataset",
        "camelyon17",
        "--data-root",
        str(top),
        "--backbones",
        str(top / "b"),
        "--store",
        str(top / "s"),
    ]
    return [*argv, "--images", "camelyon_96", "--image-size", "32", "--batch", "16", "--lr", "0.05", "--workers", "2",
            "--val", "id_val", "--epochs", "3", *more]  # fmt: skip


@pytest.fixture(scope="module")
def made(top: Path) -> Path:
    assert bonsai.main(flags(top, *ARCH, "--name", "bonsai")) == 0
    return top


def config_of(top: Path, name: str = "any") -> TrainConfig:
    return TrainConfig(
        dataset="camelyon17", name=name, recipe="wilds", data_root=str(top), backbones=str(top / "b"), workers=2
    )


def test_the_rounds_and_the_synthesis_are_backbones(made: Path) -> None:
    about = {name: describe(made / "b" / name) for name in ("bonsai.r0", "bonsai.r1", "bonsai")}
    assert [about[name]["epochs"] for name in about] == [3, 3, 6]
    decays = [about[name]["made"]["training"]["weight_decay"] for name in about]
    assert decays == [0.01, 0.01, 1e-6]
    assert about["bonsai.r1"]["made"]["objective"] == "groupdro"
    parents = [[parent["name"] for parent in about[name]["made"].get("parents", [])] for name in about]
    assert parents == [[], ["bonsai.r0"], ["bonsai.r0", "bonsai.r1"]]
    assert about["bonsai"]["made"]["parents"][0]["weights"] == about["bonsai.r0"]["weights_sha256"]
    assert about["bonsai"]["log"]["val_top1"] > 60  # the mean of its heads, on the true labels


def test_a_second_run_trains_nothing(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bonsai.main(flags(made, *ARCH, "--name", "bonsai", "--json"))
    assert [row["state"] for row in json.loads(capsys.readouterr().out)] == ["complete"] * 3


def test_groups_are_what_each_network_gets_right_and_wrong(made: Path) -> None:
    config = config_of(made)
    data, names = open_labelled(config), ["bonsai.r0", "bonsai.r1"]
    answers = [answers_of(name, data, config) for name in names]
    label = data.labels[:, 0].numpy()
    accuracy = 100 * (answers[0] == label)[data.rows].mean()
    assert accuracy == pytest.approx(describe(made / "b/bonsai.r0")["log"]["train_top1"], abs=15)
    found, count = copies(data, answers, names), len(label)
    assert len(found.rows) == 2 * len(data.rows)
    groups = found.groups.numpy().reshape(2, count)
    assert np.array_equal(groups[0], answers[0] != label)
    assert np.array_equal(groups[1], 2 + (answers[1] != label))
    assert found.images.read(count + 3) == data.images.read(3)
    lesson = taught(data, answers)
    assert np.array_equal(lesson.labels.numpy(), np.stack(answers, 1))
    assert np.array_equal(lesson.groups.numpy(), (answers[0] == label) & (answers[1] == label))
    with pytest.raises(BadValue, match=r"bonsai.r0 gets all \d+ training images right: no two groups to go on with"):
        copies(data, [label], names)
    with pytest.raises(BadValue, match="no training image is right in all 2 rounds"):
        taught(data, [label, 1 - label])


def test_from_images_to_the_files_of_wilds(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pretraining of two seeds, vREx not frozen, extraction, both objectives and tunings, the evaluator's files."""
    pretrain.main(flags(made, *ARCH, "--seed", "0,1", "--name", "erm"))
    group = ["--objective", "vrex", "--group", "hospital", "--anneal", "4"]
    finetune.main(flags(made, "--backbone", "erm-s0", "--name", "vrex", *group))
    about = describe(made / "b/vrex")["made"]
    assert about["parents"][0]["name"] == "erm-s0"
    assert about["training"]["recipe"] == "wilds"
    assert describe(made / "b/vrex")["weights_sha256"] != about["parents"][0]["weights"]  # nothing is frozen
    assert (about["objective"], about["penalty"], about["anneal"], about["group"]) == ("vrex", 100.0, 4, "hospital")
    store = ["--store", str(made / "s"), "--dataset", "camelyon17"]
    names = "erm-s0,erm-s1,vrex,bonsai"
    assert extract(["--backbone", names, *store, "--data-root", str(made), "--backbones", str(made / "b")]) == 0
    capsys.readouterr()
    rows = ("ERM=erm-s0;erm-s1", "CAT2=erm-s0,erm-s1", "vREx=vrex", "BONSAI2=bonsai")
    argv = [part for row in rows for part in ("--features", row)]
    argv += ["--objective", "erm,vrex", "--group", "hospital", "--epochs", "5", "--lr", "0.05", "--seeds", "0,1"]
    assert probe([*store, *argv, "--penalty", "0,1,10", "--wilds", str(made / "wilds"), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)["table"]
    assert len(table) == 4 * 2 * 2
    assert all(set(line["accuracy_by_role"]["id_val"]) == {"0", "3", "4"} for line in table)
    assert np.mean([line["top1"] for line in table]) > 0.6
    files = sorted((made / "wilds").rglob("*.csv"))
    assert len(files) == 4 * 3 * (4 + 2 + 2 + 2)  # objective and tuning, split, runs
    metadata = (made / "camelyon17/camelyon17_v1.0/metadata.csv").read_text().splitlines()[1:]
    test = [line.split(",") for line in metadata if line.split(",")[7] == "2"]  # the order of the official split
    one = made / "wilds/ERM/erm-iid/camelyon17_split:test_seed:2_epoch:best_pred.csv"
    right = np.mean([guess == row[5] for guess, row in zip(one.read_text().split(), test, strict=True)])
    assert any(right == pytest.approx(value) for value in _test_accuracies(made))


def _test_accuracies(top: Path) -> list[float]:
    from store.records import read_records
    from store.root import open_root

    records = [r for r in read_records(open_root(top / "s"), "probe") if r.metrics["features"] == "erm-s1"]
    erm = [record for record in records if record.metrics["objective"] == "erm"]
    return [run["top1"] for record in erm for run in record.metrics["tunings"]["iid"]["runs"]]


def test_mistakes(top: Path) -> None:
    with pytest.raises(BadValue, match=r"--rounds 1: at least 2; one round is python -m extract.pretrain"):
        bonsai.main(flags(top, *ARCH, "--rounds", "1"))
    with pytest.raises(BadValue, match="finds its groups itself and has one --target: leave out --group"):
        bonsai.main(flags(top, *ARCH, "--group", "hospital"))
    with pytest.raises(BadValue, match="--arch and --dataset are needed"):
        bonsai.main(["--rounds", "2"])
    with pytest.raises(BadValue, match="--objective vrex needs --group COLUMN"):
        pretrain.main(flags(top, *ARCH, "--objective", "vrex", "--name", "x"))
    with pytest.raises(BadValue, match="--batch 15: half of it is of each of 2 groups"):
        pretrain.main(
            [*flags(top, *ARCH, "--objective", "vrex", "--name", "y", "--group", "hospital"), "--batch", "15"]
        )
    with pytest.raises(BadValue, match="every image that is trained on is of the same hospital; it needs two groups"):
        pretrain.main(
            flags(top, *ARCH, "--objective", "groupdro", "--group", "hospital", "--train", "test", "--name", "z")
        )
