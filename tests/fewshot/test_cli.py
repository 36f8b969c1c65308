import json
import subprocess
import sys

import numpy as np
import pytest

from fewshot.cli import main
from store.errors import BadValue, MissingFeatures, UnknownName
from store.records import read_records


def clusters(counts, dim=16, seed=0, apart=2.0, classes_seed=99):
    """Features and labels: `counts[c]` images of class c around a centre of its own."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(classes_seed).normal(size=(len(counts), dim)) * apart
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return (centres[y] + rng.normal(size=(len(y), dim))).astype(np.float32), y


@pytest.fixture
def stored(root, make_set):
    """Two backbones over train, val, test of a made `openmoji` with a subcategory column."""
    names = [f"class{i}" for i in range(8)]
    for split, count in (("train", 20), ("val", 7), ("test", 9)):
        for backbone, apart in (("a", 1.0), ("b", 0.5)):
            x, y = clusters([count] * 8, seed=count, apart=apart)
            make_set(
                x, {"label": y % 2, "subcategory": y}, dataset="openmoji", split=split, backbone=backbone,
                classes={"subcategory": names},
            )  # fmt: skip
    return root


def run(stored, capsys, *args):
    assert main(["--store", stored.url, *args]) == 0
    return capsys.readouterr().out


def test_the_defaults_are_the_protocol_of_chen_et_al(stored, capsys):
    found = json.loads(run(stored, capsys, "--features", "a", "--features", "a,b", "--json"))
    assert found["splits"] == ["train", "val", "test"]
    assert found["target"] == "subcategory"
    assert "train, val, test together" in found["notes"][0]
    rows = found["results"]
    assert [(r["features"], r["classifier"], r["shots"]) for r in rows] == [
        ("a", "nearest", "1"), ("a", "nearest", "5"), ("a,b", "nearest", "1"), ("a,b", "nearest", "5"),
    ]  # fmt: skip
    for row in rows:
        assert (row["ways"], row["queries"], row["episodes"]) == ("5", 15, 600)
        assert 0.2 < row["accuracy"] < 1
        assert 0 < row["ci95"] < 0.02
    assert rows[1]["accuracy"] > rows[0]["accuracy"]


def test_table_and_record(stored, capsys):
    text = run(stored, capsys, "--features", "a", "--episodes", "20")
    header = text.splitlines()[1].split()
    assert header == [
        "features",
        "classifier",
        "ways",
        "shots",
        "accuracy",
        "95",
        "%",
        "episodes",
        "seconds",
    ]
    assert text.splitlines()[2].split()[:4] == ["a", "nearest", "5", "1"]
    (record,) = read_records(stored, "fewshot")
    assert record.key in text
    assert [f["split"] for f in record.features] == ["train", "val", "test"]
    assert set(record.targets) == {"train:subcategory", "val:subcategory", "test:subcategory"}
    assert record.metrics["results"][0]["episodes"] == 20


def test_a_novel_split_is_the_default(root, make_set, capsys):
    for split in ("base", "novel"):
        x, y = clusters([20] * 6)
        make_set(x, {"label": y}, dataset="mini", split=split)
    found = json.loads(run(root, capsys, "--features", "a", "--dataset", "mini", "--episodes", "10", "--json"))
    assert found["splits"] == ["novel"]
    assert found["target"] == "label"
    assert found["notes"] == []


def test_errors(stored, capsys):
    store = ["--store", stored.url]
    with pytest.raises(MissingFeatures, match="python -m extract --backbone c --dataset openmoji --split train"):
        main([*store, "--features", "a,c"])
    with pytest.raises(MissingFeatures, match="openmoji/novel/a has no features"):
        main([*store, "--features", "a", "--split", "novel"])
    with pytest.raises(UnknownName, match="unknown classifier 'nearst'; nearest: nearest"):
        main([*store, "--features", "a", "--classifier", "nearst"])
    with pytest.raises(BadValue, match="--ways 9: the target column 'subcategory' has only 8 classes; give --ways 8"):
        main([*store, "--features", "a", "--ways", "9"])
    with pytest.raises(BadValue, match="--shots 'x': give a number as 5, or a range as 5-20"):
        main([*store, "--features", "a", "--shots", "x"])
    with pytest.raises(BadValue, match="--ways '1': the numbers must be at least 2"):
        main([*store, "--features", "a", "--ways", "1"])


def test_an_error_exits_2_without_a_traceback(stored):
    done = subprocess.run(
        [sys.executable, "-m", "fewshot", "--store", stored.url, "--features", "zz"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("fewshot: openmoji/train/zz has no features")
    assert "Traceback" not in done.stderr


def test_help_and_list_load_no_torch(capsys):
    code = (
        "import sys; from fewshot.cli import build_parser, main; build_parser().format_help(); main(['--list']); "
        "assert not {'torch', 'numpy', 'faiss', 'zarr'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
