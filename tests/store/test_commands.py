"""`python -m store`: what each command prints, refuses and removes."""

import io
import json
import os
import sys
import time

import numpy as np
import pytest

from store import open_features
from store.cli import main
from store.errors import BadValue, MissingFeatures
from store.fingerprint import Fingerprint
from store.keys import FeatureKey
from store.writer import FeatureWriter
from tests.conftest import make_samples


def made(count: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def labels(count: int) -> dict[str, np.ndarray]:
    return {"label": np.arange(count) % 3}


def half_written(root, *, blocks=1) -> FeatureWriter:
    samples = make_samples("toy", "train", labels(100), {})
    fingerprint = Fingerprint(
        weights="half", architecture="made", layer="features", pooling="avg", recipe={}, precision="fp32",
        dtype="float32", samples=samples.id,
    )  # fmt: skip
    writer = FeatureWriter(root, FeatureKey("toy", "train", "half"), fingerprint, samples, 4, block_rows=32)
    for block in range(blocks):
        rows = writer.rows(block)
        writer.write(block, made(len(rows), 4), np.ones((len(rows), 16), np.uint8))
    return writer


def run(root, *argv: str) -> int:
    return main([*argv, "--store", root.url])


def age(root, folder: str, days: float) -> None:
    for path in root.path(folder).rglob("*"):
        os.utime(path, (time.time() - days * 86400,) * 2)


def test_ls_tells_name_shape_size_and_state(root, make_set, capsys) -> None:
    make_set(made(100, 8), labels(100), backbone="a", dtype="float16")
    writer = half_written(root)
    assert run(root, "ls") == 0
    header, _, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["dataset", "split", "backbone", "fingerprint", "view", "N", "D", "size", "state"]
    assert first.split()[2] == "a"
    assert first.split()[4:] == ["0", "100", "8", "1.6", "kB", "committed"]
    assert second.split()[-2:] == ["writing", "1/4"]
    del writer
    assert run(root, "ls", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(row["backbone"], row["state"], row["num_samples"], row["dim"]) for row in told] == [
        ("a", "committed", 100, 8),
        ("half", "unfinished", 100, 4),
    ]


def test_ls_of_an_empty_or_absent_store_is_no_error(root, capsys) -> None:
    assert run(root, "ls") == 0
    assert "nothing in" in capsys.readouterr().err
    assert not root.folder.exists()


def test_a_filter_that_leaves_nothing_says_what_there_is(root, make_set) -> None:
    make_set(made(9, 2), labels(9))
    with pytest.raises(MissingFeatures, match=r"no feature sets of tooy/\* in .*; there are: toy/train"):
        main(["ls", "--dataset", "tooy", "--store", root.url])


def test_a_store_with_nothing_in_it_is_not_verified(root) -> None:
    with pytest.raises(MissingFeatures, match=r"nothing to verify in .*: is that the --store"):
        main(["verify", "--store", root.url])


def test_no_command_lists(root, make_set, capsys, monkeypatch) -> None:
    make_set(made(9, 1), labels(9))
    monkeypatch.setenv("FEATURE_STORE", root.url)
    assert main([]) == 0
    assert "committed" in capsys.readouterr().out


def test_sets_are_picked_by_pattern(root, make_set, capsys) -> None:
    one = make_set(made(9, 1), labels(9), backbone="run1", weights="one")
    make_set(made(9, 1), labels(9), backbone="run1", weights="two")
    make_set(made(9, 1), labels(9), backbone="run2", split="val")

    def picked(*argv: str) -> list[str]:
        assert run(root, "ls", "--json", *argv) == 0
        return [f"{row['split']}/{row['backbone']}" for row in json.loads(capsys.readouterr().out)]

    assert picked("run*") == ["train/run1", "train/run1", "val/run2"]
    assert picked("toy/val/run?") == ["val/run2"]
    assert picked("train/*") == ["train/run1", "train/run1"]
    assert picked("--split", "val") == ["val/run2"]
    assert picked(f"run1@{one.manifest.fingerprint[:6]}") == ["train/run1"]
    with pytest.raises(
        MissingFeatures, match=r"no feature set matches 'run3' in .*; nearest: run[12]; there is: toy/train/run1"
    ):
        run(root, "ls", "run3")


def test_show_tells_what_made_a_set(root, make_set, capsys) -> None:
    stored = make_set(made(9, 2), labels(9), view=2)
    assert run(root, "show", "a") == 0
    text = capsys.readouterr().out
    assert f"fingerprint: {stored.manifest.fingerprint}" in text
    assert 'recipe: {"view": 2}' in text
    assert "label: 3 classes" in text
    assert run(root, "show", "a", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["parts"] == stored.manifest.parts
    with pytest.raises(BadValue, match="show what"):
        run(root, "show")


def test_rm_asks(root, make_set, capsys, monkeypatch) -> None:
    make_set(made(9, 1), labels(9))
    with pytest.raises(BadValue, match="Say so with --yes"):
        run(root, "rm", "a")
    monkeypatch.setattr(sys, "stdin", terminal := io.StringIO("n\n"))
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    assert run(root, "rm", "a") == 1
    assert open_features(root, "toy", "train", "a").shape == (9, 1)
    monkeypatch.setattr(sys, "stdin", terminal := io.StringIO("y\n"))
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    assert run(root, "rm", "a") == 0
    assert "removed toy/train/a@" in capsys.readouterr().out
    with pytest.raises(MissingFeatures, match="toy/train/a has no features"):
        open_features(root, "toy", "train", "a")


def test_rm_removes_what_was_named_and_nothing_else(root, make_set) -> None:
    make_set(made(9, 1), labels(9), backbone="a", weights="one")
    two = make_set(made(9, 1), labels(9), backbone="a", weights="two")
    make_set(made(9, 1), labels(9), backbone="b")
    assert run(root, "rm", f"a@{two.manifest.fingerprint[:8]}", "--yes") == 0
    assert open_features(root, "toy", "train", "a,b").shape == (9, 2)
    with pytest.raises(BadValue, match="remove what"):
        run(root, "rm", "--yes")


def test_rm_never_removes_a_set_that_is_being_written(root) -> None:
    writer = half_written(root)
    with pytest.raises(BadValue, match=r"toy/train/half@.* is being written: stop that run first; nothing was removed"):
        run(root, "rm", "half", "--yes")
    assert writer.missing() == [1, 2, 3]
    del writer
    assert run(root, "rm", "half", "--yes") == 0
    assert root.list("features") == {}


def test_gc_collects_halves_and_partial_files_by_age(root, make_set, capsys) -> None:
    kept = make_set(made(9, 1), labels(9), split="val")
    writer = half_written(root)
    half = writer.folder
    (root.path(f"{half}/x") / f".c.1.0.{'a' * 32}.partial").write_bytes(b"torn")
    age(root, half, 8)
    age(root, "samples/toy/train", 8)
    assert run(root, "gc", "--yes") == 0  # its writer lives, the partial file's does not
    assert capsys.readouterr().out.splitlines() == [f"{half}/x/.c.1.0.{'a' * 32}.partial"]
    del writer
    assert run(root, "gc", "--yes", "--age", "30") == 0
    assert "nothing older than 30 days" in capsys.readouterr().err
    assert run(root, "gc", "--yes") == 0
    assert capsys.readouterr().out.splitlines() == [half]
    assert run(root, "gc", "--yes") == 0
    assert capsys.readouterr().out.startswith("samples/toy/train/")
    assert list(root.list("samples/toy")) == ["val"]
    assert kept.read().shape == (9, 1)


def test_dataset_and_split_take_globs(root, make_set, capsys) -> None:
    for dataset in ("inc-1", "inc-2", "other"):
        make_set(made(9, 1), labels(9), dataset=dataset)
    assert run(root, "ls", "--dataset", "inc*", "--split", "tr?in") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]] == ["inc-1", "inc-2"]
    assert run(root, "rm", "--dataset", "inc-[1]", "--yes") == 0
    assert sorted(root.list("features")) == ["inc-2", "other"]
    with pytest.raises(MissingFeatures, match=r"no feature sets of none\*/\* in"):
        run(root, "ls", "--dataset", "none*")
