"""Folds and held-out parts."""

import numpy as np
import pytest

from probe.folds import held_fifth, stratified
from store.errors import BadValue


def test_units_stay_together_and_classes_are_spread() -> None:
    unit_N = np.repeat(np.arange(60), 6)
    y_N = unit_N % 2
    part_N = stratified(y_N, 5, 0, unit_N)
    assert all(len(set(part_N[unit_N == unit])) == 1 for unit in range(60))
    assert (np.bincount(part_N * 2 + y_N) == 36).all()
    assert (part_N == stratified(y_N, 5, 0, unit_N)).all()
    assert (part_N != stratified(y_N, 5, 1, unit_N)).any()


def test_every_class_keeps_a_sample_in_training() -> None:
    y_N = np.array([0] * 10 + [1] * 10 + [2])
    part_N = stratified(y_N, 5, 0)
    assert part_N[20] == -1
    assert (part_N[:20] >= 0).all()
    for k in range(5):
        assert set(y_N[part_N != k]) == {0, 1, 2}


def test_a_fifth_of_single_samples_cannot_be_held_out() -> None:
    with pytest.raises(BadValue, match="no class has two samples"):
        held_fifth(np.arange(20), 0)


def test_selection_by_folds_does_not_see_a_unit_twice(root, make_set) -> None:
    from probe.config import ProbeConfig
    from probe.probing import probe

    rng = np.random.default_rng(0)
    centres, coin = rng.normal(size=(60, 64)), rng.integers(0, 2, 60)
    unit_N = np.repeat(np.arange(60), 6)
    x_ND = (centres[unit_N] + 0.01 * rng.normal(size=(360, 64))).astype(np.float32)
    make_set(x_ND, {"label": coin[unit_N], "unit": unit_N})
    other = rng.normal(size=(20, 64)).astype(np.float32)
    make_set(other, {"label": np.arange(20) % 2}, split="test")
    for asked in ({"select": "kfold"}, {"val": "none"}):
        (row,) = probe(root, ProbeConfig(features=("a",), dataset="toy", device="cpu", **asked), "a")
        assert row["val_top1"] < 0.8
