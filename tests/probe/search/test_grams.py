"""Gram blocks: never stale, resumed pair by pair, the same from two processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from probe.search import grams
from probe.search.grams import Grams, Rows
from store.concat import open_features

REPO = Path(__file__).parents[3]
NAMES = "abcd"


def features(count: int = 150) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 12)).astype(np.float32) + 5


@pytest.fixture
def store(root, make_set):
    """Four sets of three columns; c has a bad row."""
    y_N = np.arange(150) % 3
    for i, name in enumerate(NAMES):
        bad = {7: "truncated"} if name == "c" else {}
        make_set(features()[:, 3 * i : 3 * i + 3], {"label": y_N}, backbone=name, bad_rows=bad)
    return root


def open_grams(root, names: str = "a,b,c,d", parts: int = 2) -> Grams:
    x = open_features(root, "toy", "train", names)
    target = x.parts[0].samples.target("label")
    return Grams(root, x, Rows((np.arange(150) % parts).astype(np.int16), target))


def stored(root) -> dict[str, bytes]:
    below = Path(root.url) / "grams"
    return {str(path.relative_to(below)): path.read_bytes() for path in sorted(below.rglob("*.npz"))}


def test_blocks_are_sums_over_the_rows_that_all_sets_could_read(store) -> None:
    opened, kept = open_grams(store), np.arange(150) != 7
    assert opened.make() == 10
    x, part_N = features().astype(np.float64), np.arange(150) % 2
    for i, a in enumerate(opened.sets.values()):
        sums = opened.sums(a)
        for j, b in enumerate(opened.sets.values()):
            gram = opened.gram(a, b)
            for part in range(2):
                rows = kept & (part_N == part)
                one, other = x[rows, 3 * i : 3 * i + 3] - sums.shift, x[rows, 3 * j : 3 * j + 3] - opened.sums(b).shift
                np.testing.assert_allclose(gram[part], one.T @ other, rtol=1e-10, atol=1e-10)
                assert sums.counts[part].sum() == rows.sum()
                np.testing.assert_allclose(sums.sums[part].sum(0), one.sum(0), rtol=1e-10, atol=1e-10)


def test_what_is_there_is_not_made_again_and_a_new_backbone_adds_only_its_blocks(store, make_set) -> None:
    assert open_grams(store).make() == 10
    before = stored(store)
    assert open_grams(store).make() == 0
    make_set(features()[:, :2], {"label": np.arange(150) % 3}, backbone="e")
    assert open_grams(store, "a,b,c,d,e").make() == 5
    after = stored(store)
    assert len(before) == 14
    assert {name: after[name] for name in before} == before


def test_other_labels_rows_or_features_make_other_blocks(store, make_set) -> None:
    open_grams(store).make()
    first = open_grams(store)
    assert open_grams(store, parts=3).make() == 10
    make_set(features()[:, :3] + 1, {"label": np.arange(150) % 3}, backbone="a", weights="others")
    name = next(part.manifest for part in open_features(store, "toy", "train", "a@" + fingerprint(store)).parts)
    assert open_grams(store, f"a@{name.fingerprint[:8]},b,c,d").make() == 4
    make_set(features()[:, 3:6], {"label": np.arange(150) % 2}, backbone="b")  # relabelled: the features stay
    relabelled = open_grams(store, "b,c,d")
    assert relabelled.rows.id != first.rows.id
    assert relabelled.make() == 6


def fingerprint(root) -> str:
    """Of the set of a's that was made last."""
    below = Path(root.url) / "features/toy/train/a"
    return max(below.iterdir(), key=lambda folder: (folder / "manifest.json").stat().st_mtime_ns).name[:8]


def test_an_interrupted_run_goes_on_where_it_was(store, monkeypatch) -> None:
    monkeypatch.setattr(grams, "PASS_BYTES", 1)
    open_grams(store).make()
    whole = stored(store)
    store.remove("grams")
    save, left = Grams._save, iter(range(6))

    def save_some(self, *names, **arrays) -> None:
        next(left)  # the seventh raises
        save(self, *names, **arrays)

    monkeypatch.setattr(Grams, "_save", save_some)
    with pytest.raises(StopIteration):
        open_grams(store).make()
    part = stored(store)
    assert len(part) == 6
    monkeypatch.setattr(Grams, "_save", save)
    assert open_grams(store).make() == 6  # of ten pairs four were whole
    assert stored(store) == whole
    assert {name: whole[name] for name in part} == part


def test_passes_of_any_size_make_the_same_bytes(store, monkeypatch) -> None:
    open_grams(store).make()
    whole = stored(store)
    store.remove("grams")
    monkeypatch.setattr(grams, "PASS_BYTES", 300)
    open_grams(store).make()
    assert stored(store) == whole


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: data[:-40] + bytes(40), lambda data: b""])
def test_a_damaged_block_is_made_again(store, damage, caplog) -> None:
    opened = open_grams(store)
    opened.make()
    whole = stored(store)
    for path in (Path(store.url) / "grams").rglob("*.npz"):
        path.write_bytes(damage(path.read_bytes()))
    for a in opened.sets.values():
        opened.sums(a)
        for b in opened.sets.values():
            opened.gram(a, b)
    assert stored(store) == whole
    assert "made again" in caplog.text


def test_a_block_that_was_put_in_anothers_place_is_made_again(store, caplog) -> None:
    opened = open_grams(store)
    opened.make()
    whole = stored(store)
    one, other = sorted((Path(store.url) / "grams").rglob("*.npz"))[:2]
    one.write_bytes(other.read_bytes())
    for a in opened.sets.values():
        opened.sums(a)
        for b in opened.sets.values():
            opened.gram(a, b)
    assert stored(store) == whole
    assert "it is another block" in caplog.text


EACH = """
import sys, torch
sys.path.insert(0, sys.argv[2])
from probe import ranks
from store.root import open_root
from test_grams import open_grams
ranks.start(torch.device("cpu"))
made = open_grams(open_root(sys.argv[1])).make()
assert made == (5 if ranks.count() == 2 else 10)
assert len(list((__import__("pathlib").Path(sys.argv[1]) / "grams").rglob("*.npz"))) == 14, "the other's are there"
ranks.stop()
"""


def test_two_ranks_make_what_one_makes(store, tmp_path) -> None:
    open_grams(store).make()
    whole = stored(store)
    store.remove("grams")
    script = tmp_path / "each.py"
    script.write_text(EACH)
    env = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(
        [*command, store.url, str(Path(__file__).parent)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert stored(store) == whole
