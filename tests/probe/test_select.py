"""What is chosen on: nothing where there is nothing to choose, and a word where it says little."""

import numpy as np
import pytest

from probe.config import ProbeConfig
from probe.probing import probe
from probe.solvers import SOLVERS, Settings, grid_size
from store.errors import BadValue


@pytest.fixture
def one_each(root, make_set):
    """20 classes of one training image, three to test."""
    centres = np.random.default_rng(0).normal(size=(20, 8))
    for split, count in (("train", 20), ("test", 60)):
        y_N = np.arange(count) % 20
        x_ND = centres[y_N] + 0.3 * np.random.default_rng(count).normal(size=(count, 8))
        make_set(x_ND.astype(np.float32), {"label": y_N}, split=split)
    return root


def asked(**options) -> ProbeConfig:
    return ProbeConfig(features=("a",), dataset="toy", device="cpu", **options)


@pytest.mark.parametrize(
    "options",
    [{"weight_decay": (1e-2,)}, {"solver": "nearest"}, {"solver": "knn", "k": (1,)}, {"solver": "ridge",
     "weight_decay": (1.0,)}, {"weight_decay": (1e-2,), "select": "kfold"}],
    ids=str,
)  # fmt: skip
def test_one_setting_needs_nothing_to_choose_on(one_each, options) -> None:
    (row,) = probe(one_each, asked(**options), "a")
    assert row["top1"] > 0.5
    assert (row["val_top1"], row["optimism_gap"]) == (None, 0)
    assert row["selection"] == "one setting, so nothing was chosen, and nothing held out: trained on all of train"


def test_several_settings_do(one_each) -> None:
    with pytest.raises(BadValue, match="no class has two samples that could be parted"):
        probe(one_each, asked(), "a")
    with pytest.raises(BadValue, match="--select kfold: no class has two samples"):
        probe(one_each, asked(select="kfold"), "a")


def test_where_a_fifth_can_be_held_out_one_setting_is_validated_too(root, make_set) -> None:
    for split in ("train", "test"):
        y_N = np.arange(30) % 3
        make_set(np.eye(3)[y_N].astype(np.float32), {"label": y_N}, split=split)
    (row,) = probe(root, asked(weight_decay=(1e-2,)), "a")
    assert row["val_top1"] == 1.0


def test_classes_to_choose_on_that_were_not_trained_are_told(root, make_set, caplog) -> None:
    for split, classes in (("train", 3), ("val", 5), ("test", 3)):
        y_N = np.arange(30) % classes
        make_set(np.eye(5)[y_N].astype(np.float32), {"label": y_N}, split=split)
    (row,) = probe(root, asked(), "a")
    assert row["val_top1"] == pytest.approx(18 / 30)
    assert "12 of 30 samples to choose on are of classes without a training sample" in caplog.text


def test_members_of_a_grid() -> None:
    settings = Settings(weight_decay=(1.0, 2.0), lr=(1.0, 2.0, 3.0), seeds=(0, 1), k=(1, 5))
    assert {name: grid_size(name, settings) for name in ("lbfgs", "sgd", "knn", "nearest")} == {
        "lbfgs": 2, "sgd": 12, "knn": 2, "nearest": 1,
    }  # fmt: skip
    assert all(grid_size(name, settings) for name in SOLVERS)
