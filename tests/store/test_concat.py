import numpy as np
import pytest

from store import open_features
from store.batches import sequential
from store.errors import AmbiguousFeatures, BadValue, MissingFeatures, SamplesMismatch


def made(count: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def labels(count: int) -> dict[str, np.ndarray]:
    return {"label": np.arange(count) % 3}


def test_concat_is_hstack(root, make_set) -> None:
    a, b = made(300, 5), made(300, 7, seed=1)
    make_set(a, labels(300), backbone="a", block_rows=128)
    make_set(b, labels(300), backbone="b", block_rows=128)
    x = open_features(root, "toy", "train", "a,b,a")
    want = np.hstack([a, b, a])
    assert x.shape == want.shape
    assert np.array_equal(x.read(), want)
    assert np.array_equal(x.read(slice(100, 270)), want[100:270])
    rows = np.array([299, 0, 128, 127, 0])
    assert np.array_equal(x.read(rows), want[rows])
    half = np.empty((170, x.dim), np.float16)
    assert x.read(slice(100, 270), half) is half
    assert np.array_equal(half, want[100:270].astype(np.float16))


def test_bad_rows_of_any_part_leave_every_part(root, make_set) -> None:
    a, b = made(50, 2), made(50, 3, seed=1)
    make_set(a, labels(50), backbone="a", bad_rows={4: "truncated"})
    make_set(b, labels(50), backbone="b", bad_rows={30: "not an image"})
    x = open_features(root, "toy", "train", "a,b")
    keep = np.setdiff1d(np.arange(50), [4, 30])
    assert np.array_equal(x.read(), np.hstack([a, b])[keep])
    assert np.array_equal(x.samples.label, (np.arange(50) % 3)[keep])
    assert x.samples.ids[4] == "train/000005.png"


def test_other_samples_are_refused(root, make_set) -> None:
    make_set(made(50, 2), labels(50), backbone="a")
    make_set(made(40, 2), labels(40), backbone="b")
    with pytest.raises(SamplesMismatch, match="toy/train/b list other samples: one has 50 samples, the other 40"):
        open_features(root, "toy", "train", "a,b")


def test_patterns(root, make_set) -> None:
    for name in ("run0", "run1", "run10", "other"):
        make_set(made(9, 1), labels(9), backbone=name)
    assert open_features(root, "toy", "train", "run?").names == ["run0", "run1"]
    assert open_features(root, "toy", "train", "run{0..1},o*").names == ["run0", "run1", "other"]
    assert open_features(root, "toy", "train", "{other,run10}").names == ["other", "run10"]
    with pytest.raises(MissingFeatures, match=r"match 'x\*'.* there is: other, run0"):
        open_features(root, "toy", "train", "x*")
    with pytest.raises(BadValue, match="no feature names"):
        open_features(root, "toy", "train", " ,")


def test_missing_says_the_command(root, make_set) -> None:
    make_set(made(9, 1), labels(9))
    with pytest.raises(MissingFeatures, match="python -m extract --backbone b --dataset toy --split train --store "):
        open_features(root, "toy", "train", "a,b")


def test_missing_says_what_was_typed_and_what_is_there(root, make_set) -> None:
    make_set(made(9, 1), labels(9), dataset="toy", split="base")
    with pytest.raises(MissingFeatures, match="toy has the splits base there; run: "):
        open_features(root, "toy", "train", "a")
    with pytest.raises(MissingFeatures, match="nearest datasets: toy; if toyy is one too, run: "):
        open_features(root, "toyy", "train", "a")
    with pytest.raises(MissingFeatures, match=r"--dataset 'folder:my pets' --split train"):
        open_features(root, "folder:my pets", "train", "a")


def test_a_name_with_two_fingerprints_is_picked_by_prefix(root, make_set) -> None:
    first = make_set(made(9, 1), labels(9), weights="one")
    make_set(made(9, 1), labels(9), weights="two")
    with pytest.raises(AmbiguousFeatures, match=r"2 feature sets are named toy/train/a .* differ in weights"):
        open_features(root, "toy", "train", "a")
    prefix = first.manifest.fingerprint[:8]
    assert open_features(root, "toy", "train", f"a@{prefix}").fingerprints == [first.manifest.fingerprint]


def test_views_are_sets_of_the_same_name(root, make_set) -> None:
    for view in (0, 1):
        make_set(np.full((9, 1), view, np.float32), labels(9), view=view)
    assert open_features(root, "toy", "train", "a").read().max() == 0
    assert open_features(root, "toy", "train", "a", view=1).read().min() == 1


def test_sets_in_blocks_of_other_sizes_concatenate(root, make_set) -> None:
    """As an earlier version wrote them (4096 rows, or all of a short split) beside those of today."""
    a, b = (np.random.default_rng(i).normal(size=(700, 3)).astype(np.float32) for i in range(2))
    target = {"label": np.arange(700) % 3}
    make_set(a, target, backbone="a", block_rows=4096, bad_rows={300: "bad"})
    make_set(b, target, backbone="b", block_rows=256)
    rows = np.array([650, 3, 299, 300])
    for names, parts in (("a,b", (a, b)), ("b,a", (b, a))):
        x, want = open_features(root, "toy", "train", names), np.delete(np.hstack(parts), 300, axis=0)
        assert [part.manifest.block_rows for part in x.parts] == [700 if name == "a" else 256 for name in x.names]
        assert np.array_equal(x.read(), want)
        assert np.array_equal(x.read(slice(200, 600)), want[200:600])
        assert np.array_equal(x.read(rows), want[rows])
        assert np.array_equal(np.concatenate([batch for _, batch in sequential(x)]), want)
