"""`python -m extract.pretrain`: backbones by name, the same from the same seed, killed or not."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from extract.config import ExtractConfig
from extract.extractor import run as extract
from extract.loading import load, load_head
from extract.pretrain import main
from extract.trained import SEAL, describe, sealed, trained_names
from store import open_features
from store.errors import BadValue, RootError, UnknownName, UserError
from store.head_networks import networks_of
from store.heads import load_head as load_stored_head
from store.records import read_records
from store.root import open_root
from tests.extract.conftest import train_flags

TOP = Path(__file__).parents[2]


def sha256(folder: Path, name: str = "a") -> str:
    return str(describe(folder / "b" / name)["weights_sha256"])


def test_a_trained_network_is_a_backbone_by_name(small_nets: Path) -> None:
    assert set(trained_names(str(small_nets / "b"))) >= {"a-s0", "a-s0@e1", "a-s1", "a-s1@e1"}
    names = ("a-s0", "a-s1", "a-s0@e1")
    rows = extract(ExtractConfig(backbone=names, dataset=("digits",), split=("val",), store=str(small_nets / "s"),
                                 backbones=str(small_nets / "b")))  # fmt: skip
    assert [(row.backbone, row.dim, row.state) for row in rows] == [(name, 16, "extracted") for name in names]
    assert len({row.fingerprint for row in rows}) == 3


def test_seeds_differ_and_a_seed_repeats(small_nets: Path, tmp_path: Path) -> None:
    main(train_flags(tmp_path, "--seed", "0", "--name", "a", "--snapshots", "2", "--schedule", "cyclic"))
    assert sha256(tmp_path) == sha256(small_nets, "a-s0") != sha256(small_nets, "a-s1")
    nets = [load(f"a-s{seed}", backbones=str(small_nets / "b")).net.state_dict()["0.0.weight"] for seed in (0, 1)]
    assert abs(float(torch.corrcoef(torch.stack([net.flatten() for net in nets]))[0, 1])) < 0.3


def test_the_head_is_stored_under_the_backbone_and_scores_as_in_training(small_nets: Path) -> None:
    weight, bias = load_head("a-s0", backbones=str(small_nets / "b"))
    stored = load_stored_head(open_root(small_nets / "s"), "a-s0")
    assert np.array_equal(weight, stored.weight)
    assert bias is not None
    assert np.array_equal(bias, stored.bias)
    assert stored.info["classes"] == [str(digit) for digit in range(10)]
    from probe.predict import predict_split

    extract(ExtractConfig(backbone=("a-s0",), dataset=("digits",), split=("val",), store=str(small_nets / "s"),
                          backbones=str(small_nets / "b")))  # fmt: skip
    features = open_features(small_nets / "s", "digits", "val", "a-s0")
    assert stored.info["networks"] == networks_of([part.manifest for part in features.parts])
    found = predict_split(open_root(small_nets / "s"), "a-s0", split="val")
    assert 100 * found["top1"] == pytest.approx(describe(small_nets / "b" / "a-s0")["log"]["val_top1"], abs=0.6)


def test_a_second_run_trains_nothing(small_nets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (small_nets / "b/a-s0/weights.safetensors").stat().st_mtime_ns
    main(train_flags(small_nets, "--seed", "0,1", "--name", "a", "--snapshots", "2", "--schedule", "cyclic", "--json"))
    rows = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in rows] == ["complete", "complete"]
    assert (small_nets / "b/a-s0/weights.safetensors").stat().st_mtime_ns == before
    names = [record.metrics["name"] for record in read_records(open_root(small_nets / "s"), "train")]
    assert names.count("a-s0") == names.count("a-s1") == 1
    log = [json.loads(line) for line in (small_nets / "b/a-s0/log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == [1, 2]
    assert {"lr", "loss", "train_top1", "val_top1", "seconds"} <= log[0].keys()


def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    arguments = train_flags(tmp_path, "--name", "a", "--ema", "0.9", "--checkpoint-seconds", "0")
    process = subprocess.Popen([sys.executable, "-m", "extract.pretrain", *arguments], cwd=TOP, stderr=subprocess.PIPE)
    checkpoint, deadline = tmp_path / "b/a/checkpoint.pt", time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert checkpoint.exists()
    assert not (tmp_path / "b/a/backbone.json").exists()
    with pytest.raises(BadValue, match="is not finished: run its command again"):
        load("a", backbones=str(tmp_path / "b"))
    main(arguments)
    assert not checkpoint.exists()
    whole = tmp_path / "whole"
    main(train_flags(whole, "--name", "a", "--ema", "0.9"))
    assert sha256(tmp_path) == sha256(whole)
    lines = [[json.loads(line) for line in (f / "b/a/log.jsonl").read_text().splitlines()] for f in (tmp_path, whole)]
    for one, other in zip(*lines, strict=True):
        assert (one["loss"], one["val_top1"]) == (other["loss"], other["val_top1"])


def test_another_configuration_is_refused_with_what_differs(small_nets: Path) -> None:
    with pytest.raises(
        BadValue, match=r"holds another run, which differs in .*training.lr: 0.1 there, 0.2 now.*--name"
    ):
        main(train_flags(small_nets, "--name", "a-s0", "--snapshots", "2", "--schedule", "cyclic", "--lr", "0.2"))


def test_a_diverging_run_stops_with_its_last_good_state(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"the loss is not finite in epoch 1, step \d+, at lr 1e\+20.*smaller --lr"):
        main(train_flags(tmp_path, "--name", "a", "--lr", "1e20", "--checkpoint-seconds", "0"))
    assert not (tmp_path / "b/a/backbone.json").exists()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--arch", "resnet5"], "unknown architecture 'resnet5'; nearest: resnet50"),
        (["--dataset", "digit"], "unknown dataset 'digit'; nearest: digits"),
        (["--recipe", "smal"], "unknown training recipe 'smal'; nearest: small"),
        (["--images", "small_31"], "unknown image recipe 'small_31'; nearest: small_32"),
        (["--objective", "erm2"], "unknown objective 'erm2'; nearest: erm"),
        (["--target", "kind"], "unknown target column of digits/train 'kind'"),
        (["--snapshots", "9"], "--snapshots 9 of 2 epochs: too many"),
        (["--lr", "nan"], "--lr nan"),
        (["--name", "resnet18"], "a published backbone is called so"),
        (["--image-size", "2"], "--image-size 2: at least 8"),
        (["--image-size", "8"], "conv4w0.25 cannot see images of .8, 8. pixels"),
        (["--arch", "conv4w0.01"], "must make that a whole number"),
    ],
)
def test_a_wrong_flag_says_what_to_do(tmp_path: Path, wrong: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says.replace("+", r"\+")):
        main([*train_flags(tmp_path), *wrong])
    assert not (tmp_path / "b").exists()


def test_a_mistake_leaves_no_run_behind(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="--objective vrex needs --group"):
        main(train_flags(tmp_path, "--name", "a", "--objective", "vrex"))
    assert not (tmp_path / "b/a").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(RootError, match=r"cannot write .*choose another --backbones"):
        main([*train_flags(tmp_path, "--name", "a"), "--backbones", str(tmp_path / "file")])


def test_a_trained_name_that_is_mistyped_is_told(small_nets: Path) -> None:
    with pytest.raises(UnknownName, match="nearest: a-s0@e1"):
        load("a-s0@e2", backbones=str(small_nets / "b"))


def test_a_description_from_outside_runs_no_code(small_nets: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    text = json.loads((small_nets / "b/a-s0/backbone.json").read_text())
    for change, says in (
        ({"arch": "os:getcwd"}, "code that a file names is not run"),
        ({"format": 99}, "format 99"),
        ({"dim": "16"}, "does not describe a backbone"),
        ({"recipe": {"resize": 2, "run": "x"}}, "does not describe a backbone"),
    ):
        made = {key: value for key, value in (text | change).items() if key != SEAL}
        (folder / "backbone.json").write_text(json.dumps(sealed(made)))
        with pytest.raises(BadValue, match=says):
            load("x", backbones=str(tmp_path))
    (folder / "backbone.json").write_text(json.dumps(text))
    (folder / "weights.safetensors").write_bytes((small_nets / "b/a-s1/weights.safetensors").read_bytes())
    with pytest.raises(BadValue, match="its sha256 is"):
        load("x", backbones=str(tmp_path))


@pytest.mark.slow
def test_two_ranks_train_one_backbone(tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "extract.pretrain"]
    more = ["--name", "a", "--epochs", "6", "--objective", "erm"]
    command = [*torchrun, *train_flags(tmp_path), *more]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("trained") == 1
    main([*train_flags(tmp_path / "one"), *more])
    two, one = (describe(folder / "b/a")["log"] for folder in (tmp_path, tmp_path / "one"))
    assert two["loss"] == pytest.approx(one["loss"], rel=0.2)
    assert two["train_top1"] == pytest.approx(one["train_top1"], abs=8)


def test_two_targets_have_a_head_each(tmp_path: Path) -> None:
    from PIL import Image

    rng, lines = np.random.default_rng(0), ["path,label,colour,split"]
    for i in range(40):
        pixels = rng.integers(0, 250, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{'abc'[i % 3]},{'xy'[i % 2]},{'val' if i > 29 else 'train'}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    data = ["--dataset", f"csv:{tmp_path / 'list.csv'}", "--target", "label,colour", "--batch", "10"]
    main([*train_flags(tmp_path), *data, "--name", "a"])
    weight, _ = load_head("a", backbones=str(tmp_path / "b"))
    assert weight.shape == (3, 16)
    made = describe(tmp_path / "b/a")
    assert made["classes"] == ["a", "b", "c"]
    assert "val_top1" in made["log"]
