"""Every row of the table through the whole flow, on a made copy: extract, probe, few-shot."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from extract.cli import main as extract
from extract.datasets import DATASETS, find_dataset, open_dataset
from fewshot.cli import main as fewshot
from probe.cli import main as probe
from store import open_features

Make = Callable[[str], Path]
TOP = Path(__file__).parents[3]

PROBES: dict[str, list[str]] = {
    "openmoji": ["--weight-decay", "1e-2"],
    "digits": ["--weight-decay", "1e-2"],
    "emoji": ["--train", "train_google", "--val", "val_google", "--test", "test_twitter", "--group", "style"],
    "fashion_mnist": ["--select", "kfold", "--folds", "2"],
    "cifar10": ["--train", "train_50perc", "--select", "kfold", "--folds", "2"],
    "cifar100": ["--target", "coarse", "--select", "kfold", "--folds", "2"],
    "camelyon17": ["--val", "id_val", "--group", "hospital"],
    "imagenet": ["--test", "val", "--weight-decay", "1e-1"],
    "inat18": ["--target", "supercategory", "--select", "kfold", "--folds", "2", "--test", "val"],
    "csv:FILE": ["--group", "hospital"],
    "folder:PATH": [],
}
"""How a dataset is probed; test sets without a train split and class splits for episodes are not."""
SPLITS = {"emoji": ("train_google", "val_google", "test_twitter"), "cifar10": ("train_50perc", "test")}
EPISODES = {
    "imagenet": "train,val",
    "inat18": "train,val",
    "cifar10": "test",
    "cifar100": "train",
    "fashion_mnist": "test",
    "emoji": "test_twitter",
}
"""Splits to pool."""


def named(row: str, make: Make) -> tuple[str, Path]:
    """What --dataset says, and the data root of the made copy."""
    if ":" in row:
        root = make("own")
        return (f"csv:{root / 'list.csv'}" if row == "csv:FILE" else f"folder:{root / 'pets'}"), root
    return row, make(row) if DATASETS[row].folder else Path("unused")


@pytest.mark.parametrize("row", DATASETS)
def test_the_whole_flow(row: str, make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, root = named(row, make)
    common = ["--dataset", name, "--store", str(tmp_path / "features")]
    splits = ["--split", ",".join(SPLITS[row])] if row in SPLITS else []
    assert extract(["--backbone", "pixels", "--data-root", str(root), "--json", *common, *splits]) == 0
    made = json.loads(capsys.readouterr().out)
    assert {one["split"] for one in made} == set(SPLITS.get(row) or DATASETS[row].splits or ("train", "val", "test"))
    for one in made:
        assert (one["state"], one["bad"]) == ("extracted", 0)
        images = open_dataset(name, one["split"], root)
        features = open_features(tmp_path / "features", name, one["split"], "pixels")
        assert features.shape == (len(images.samples), 768)
        assert list(features.samples.ids) == list(images.samples.ids)
        for column in DATASETS[row].columns:
            assert np.array_equal(features.samples.target(column).index, images.samples.targets[column].index)
    made_alike = "--allow-duplicates"  # the files of conftest.py show the same pictures in every split
    if row in PROBES:
        assert probe(["--features", "pixels", "--json", *common, *PROBES[row], made_alike]) == 0
        assert "pixels" in capsys.readouterr().out
    few = [
        "--features",
        "pixels",
        "--ways",
        "2",
        "--shots",
        "1",
        "--queries",
        "1",
        "--episodes",
        "20",
        "--json",
        made_alike,
    ]
    if row in EPISODES:
        few += ["--split", EPISODES[row]]
    assert fewshot([*few, *common]) == 0
    assert "pixels" in capsys.readouterr().out


def test_views_are_stored_beside_the_evaluation_crop(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, store = make("cifar10"), tmp_path / "features"
    flags = ["--backbone", "pixels", "--dataset", "cifar10", "--data-root", str(root), "--store", str(store), "--json"]
    assert extract([*flags, "--split", "train", "--views", "3"]) == 0
    assert [one["view"] for one in json.loads(capsys.readouterr().out)] == [0, 1, 2]
    x = [open_features(store, "cifar10", "train", "pixels", view=view).read(slice(None)) for view in range(3)]
    assert all(np.isfinite(one).all() for one in x)
    assert np.abs(x[1] - x[0]).max() > 0.01
    assert np.abs(x[2] - x[1]).max() > 0.01
    assert extract([*flags, "--split", "train", "--views", "3"]) == 0
    assert {one["state"] for one in json.loads(capsys.readouterr().out)} == {"complete"}


def test_skipped_rows_are_masked(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An image that is listed but absent, and one that is cut off, in two backbones at once."""
    root, store = make("inat18"), tmp_path / "features"
    ids = open_dataset("inat18", "train", root).samples.ids
    (root / "inat18" / ids[3]).unlink()
    cut = root / "inat18" / ids[5]
    cut.write_bytes(cut.read_bytes()[:300])
    flags = ["--dataset", "inat18", "--data-root", str(root), "--store", str(store), "--json"]
    both = ["--backbone", "pixels,random:conv4w0.25"]
    assert extract([*both, *flags, "--split", "train", "--skip-bad"]) == 0
    assert [one["bad"] for one in json.loads(capsys.readouterr().out)] == [2, 2]
    features = open_features(store, "inat18", "train", both[1])
    assert features.shape[0] == 22
    assert np.isfinite(features.read(slice(None))).all()
    for part in features.parts:
        assert sorted(part.manifest.bad_rows) == ["3", "5"]
        assert part.manifest.bad_rows["3"].endswith("No such file or directory")
        assert part.manifest.bad_rows["5"] == "OSError: Truncated File Read"
    assert [list(features.samples.ids).index(ids[row]) for row in (2, 4, 6)] == [2, 3, 4]


def test_list_datasets_says_what_is_here(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert extract(["--list-datasets", "--data-root", str(make("cub"))]) == 0
    table, _, more = capsys.readouterr().out.partition("\n\n")
    present = {line.split()[0]: line.split()[1] for line in table.splitlines()[2:]}
    assert set(present) == set(DATASETS)
    assert (present["cub"], present["inat18"], present["digits"], present["csv:FILE"]) == ("yes", "no", "yes", "yours")
    assert all(row.credit in more for row in DATASETS.values() if row.folder)
    assert "train_1perc,train_2perc" in more
    assert extract(["--list-datasets", "--data-root", "/images", "--json"]) == 0
    rows = {row["dataset"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["cub"]["place"], rows["cub"]["present"], rows["cub"]["classes"]) == ("/images/cub", "no", 200)


def test_the_data_root_may_be_the_folder_of_the_dataset_itself(make: Make) -> None:
    root = make("cub")
    assert find_dataset("cub", root / "cub")[1] == root / "cub"
    assert open_dataset("cub", "novel", root / "cub").samples.id == open_dataset("cub", "novel", root).samples.id
    assert find_dataset("inat18", root / "cub")[1] == root / "cub/inat18"


@pytest.mark.parametrize("name", DATASETS)
def test_a_row_is_whole(name: str) -> None:
    row = DATASETS[name]
    assert (TOP / f"extract/datasets/{row.reader}.py").is_file()
    assert row.columns[0] == "label"
    assert len(row.source) > 10
    assert len(row.credit) > 4
    assert set(row.sizes) <= set(row.splits)
    assert bool(row.folder) == bool(row.files)


def test_the_table_loads_nothing_heavy() -> None:
    code = "import sys, extract.datasets; print({'torch', 'numpy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=TOP, check=True)
    assert done.stdout == "set()\n"


def test_a_dataset_below_a_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_dataset("cub", "~/images")[1] == tmp_path / "images/cub"
    monkeypatch.setenv("DATA_ROOT", "/elsewhere")
    assert find_dataset("cub")[1] == Path("/elsewhere/cub")
