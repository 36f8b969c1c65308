"""`python -m extract.finetune`: one backbone, a joint trunk, a grid; and the chain of two-stage fine-tuning."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from extract.config import ExtractConfig
from extract.extractor import run as extract
from extract.finetune import main
from extract.loading import load, load_head
from extract.trained import describe
from probe.cli import main as probe
from store import open_features
from store.errors import BadValue, UnknownName
from store.heads import load_head as load_stored_head
from store.root import open_root


def flags(folder: Path, *more: str) -> list[str]:
    return [
        "--dataset", "digits", "--epochs", "1", "--batch", "64", "--workers", "2",
        "--backbones", str(folder / "b"), "--store", str(folder / "s"), *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def tuned(small_nets: Path) -> Path:
    assert main(["--backbone", "a-s0", "--backbone", "a-s1", *flags(small_nets, "--lr", "0.01")]) == 0
    return small_nets


def test_fine_tuning_starts_from_the_backbone(small_nets: Path) -> None:
    main(["--backbone", "a-s0", "--name", "still", *flags(small_nets, "--lr", "1e-12", "--weight-decay", "0")])
    before, after = (load(name, backbones=str(small_nets / "b")).net.state_dict() for name in ("a-s0", "still"))
    for key, value in before.items():
        if "running" not in key and "num_batches" not in key:
            assert torch.allclose(value, after[key], atol=1e-8)
    made = describe(small_nets / "b/still")["made"]
    assert made["parents"] == [{"name": "a-s0", "weights": describe(small_nets / "b/a-s0")["weights_sha256"]}]
    assert made["images"] == describe(small_nets / "b/a-s0")["recipe"]


def test_a_joint_trunk_is_the_concatenation_of_its_parents(small_nets: Path) -> None:
    lr = ["--lr", "1e-12", "--weight-decay", "0"]
    main(["--backbone", "a-s0,a-s0@e1", *flags(small_nets, *lr)])
    names = ("a-s0+a-s0.e1-digits", "a-s0", "a-s0@e1")
    loaded = [load(name, backbones=str(small_nets / "b")) for name in names]
    assert loaded[0].architecture == "conv4w0.25+conv4w0.25"
    assert loaded[0].dim == 32
    joint = loaded[0].net.state_dict()
    for index, one in enumerate(loaded[1:]):
        assert torch.allclose(joint[f"model{index}.0.0.weight"], one.net.state_dict()["0.0.weight"], atol=1e-8)


def test_two_stage_fine_tuning_starts_at_the_mean_of_the_networks(
    tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = "a-s0-digits,a-s1-digits"
    extract(ExtractConfig(backbone=tuple(names.split(",")), dataset=("digits",), store=str(tuned / "s"),
                          backbones=str(tuned / "b"), dtype="float32", precision="fp32"))  # fmt: skip
    capsys.readouterr()
    argv = ["--features", "a-s0-digits:raw,a-s1-digits:raw", "--dataset", "digits", "--store", str(tuned / "s"),
            "--solver", "sgd", "--average", names, "--batch-norm", "none", "--json"]  # fmt: skip
    probe([*argv, "--epochs", "1", "--lr", "1e-12", "--weight-decay", "0"])
    row = json.loads(capsys.readouterr().out)
    x = open_features(str(tuned / "s"), "digits", "test", names)
    heads = [load_head(name, backbones=str(tuned / "b")) for name in names.split(",")]
    logits = sum(
        x.read()[:, 16 * i : 16 * i + 16] @ weight.T + (0 if bias is None else bias)
        for i, (weight, bias) in enumerate(heads)
    )
    assert row["top1"] == pytest.approx(float((logits.argmax(1) == x.samples.label).mean()))


def test_a_grid_is_chosen_on_val_and_its_winner_is_the_backbone(small_nets: Path) -> None:
    asked = ["--backbone", "a-s0", "--name", "grid", *flags(small_nets, "--lr", "1e-12,0.05", "--weight-decay", "0")]
    main(asked)
    folder = small_nets / "b/grid"
    scores = {path.parent.name: json.loads(path.read_text())["log"]["val_top1"] for path in folder.glob("grid/*/*.json")
              if path.name == "backbone.json"}  # fmt: skip
    assert scores.keys() == {"lr1e-12-wd0", "lr0.05-wd0"}
    best = describe(folder)
    assert best["log"]["val_top1"] == max(scores.values())
    assert best["made"]["training"]["lr"] == 0.05
    assert load_stored_head(open_root(small_nets / "s"), "grid").weight.shape == (10, 16)
    before = (folder / "backbone.json").stat().st_mtime_ns
    main(asked)
    assert (folder / "backbone.json").stat().st_mtime_ns == before


def test_without_a_val_split_a_fifth_chooses_and_the_winner_sees_all(small_nets: Path, tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (tmp_path / "p/train" / kind).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 200, (16, 16, 3), dtype=np.uint8) + (50 if kind == "cat" else 0)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "p/train" / kind / f"{i}.png")
    rest = ["--dataset", f"folder:{tmp_path / 'p'}", "--epochs", "1", "--workers", "1", "--store", str(tmp_path / "s"),
            "--backbones", str(small_nets / "b")]  # fmt: skip
    main(["--backbone", "a-s0", "--name", "pets", "--lr", "0.01,0.02", *rest])
    rows = [json.loads(path.read_text())["rows"] for path in (small_nets / "b/pets").glob("grid/*/run.json")]
    assert len(rows) == 2
    assert max(rows) < 40
    assert describe(small_nets / "b/pets")["made"]["rows"] == 40


def test_a_mistake_is_told(small_nets: Path) -> None:
    with pytest.raises(UnknownName, match="nearest: a-s"):
        main(["--backbone", "a-s7", *flags(small_nets)])
    with pytest.raises(BadValue, match="--name is for one run, not 2"):
        main(["--backbone", "a-s0", "--backbone", "a-s1", "--name", "x", *flags(small_nets)])
    with pytest.raises(BadValue, match="see their images differently"):
        main(["--backbone", "a-s0,random:conv4", *flags(small_nets)])
    with pytest.raises(BadValue, match="--backbone and --dataset are needed"):
        main(["--backbone", "a-s0"])
    with pytest.raises(BadValue, match="NAME@e10 is how snapshots are called"):
        main(["--backbone", "a-s0", "--name", "x@e1", *flags(small_nets)])
