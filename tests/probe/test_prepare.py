import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from probe.heads import LinearHead
from probe.prepare import Prepare, fit_prepare
from store.errors import BadFeatures, BadValue

CPU = torch.device("cpu")


def fit(x_ND: np.ndarray, widths, recipes, chunk: int = 7) -> Prepare:
    x = torch.from_numpy(x_ND)
    names = [f"b{i}" for i in range(len(widths))]
    return fit_prepare(widths, names, recipes, lambda p: (p(part) for part in x.split(chunk)), lambda t: t, CPU)


@pytest.fixture
def x_ND() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(50, 12)) @ rng.normal(size=(12, 12)) + 30 * rng.normal(size=12)).astype(np.float32)


def test_std_is_standard_scaling_in_any_portions(x_ND) -> None:
    for chunk in (1, 7, 50):
        got = fit(x_ND, [12], [["std"]], chunk)(torch.from_numpy(x_ND)).numpy()
        assert np.allclose(got, StandardScaler().fit_transform(x_ND.astype(np.float64)), atol=1e-4)


def test_half_precision_columns_far_from_zero_keep_their_variance() -> None:
    x = (1000 + np.random.default_rng(0).normal(size=(500, 3))).astype(np.float16)
    got = fit(x, [3], [["std"]])(torch.from_numpy(x)).numpy()
    assert np.allclose(got, StandardScaler().fit_transform(x.astype(np.float64)), atol=1e-3)


def test_a_constant_column_says_nothing(x_ND) -> None:
    x_ND[:, 5] = 3.7
    got = fit(x_ND, [12], [["std"]])(torch.from_numpy(x_ND))
    assert not got[:, 5].any()
    assert torch.isfinite(got).all()


def test_pca_spans_sklearns_components(x_ND) -> None:
    got = fit(x_ND, [12], [["pca4"]])(torch.from_numpy(x_ND)).numpy()
    want = PCA(4).fit_transform(x_ND.astype(np.float64))
    assert np.allclose(np.abs(got), np.abs(want), atol=1e-3)


def test_steps_run_in_order_and_blocks_side_by_side(x_ND) -> None:
    prepare = fit(x_ND, [5, 7], [["l2", "std", "pca2"], []])
    unit = x_ND[:, :5] / np.linalg.norm(x_ND[:, :5], axis=1, keepdims=True)
    want = PCA(2).fit_transform(StandardScaler().fit_transform(unit.astype(np.float64)))
    got = prepare(torch.from_numpy(x_ND)).numpy()
    assert prepare.dim == 9
    assert np.allclose(np.abs(got[:, :2]), np.abs(want), atol=1e-3)
    assert np.array_equal(got[:, 2:], x_ND[:, 5:])


@pytest.mark.parametrize("recipe", [["std"], ["l2"], ["l2", "std"], ["std", "pca3"], ["pca3", "l2"], []])
def test_a_folded_head_gives_the_same_logits(x_ND, recipe) -> None:
    prepare = fit(x_ND, [5, 7], [recipe, ["std"]])
    rng = np.random.default_rng(1)
    weight, bias = (torch.from_numpy(rng.normal(size=size).astype(np.float32)) for size in ((3, prepare.dim), 3))
    x = torch.from_numpy(x_ND)
    want = LinearHead(weight, bias)(prepare(x))
    new_weight, new_bias, left = prepare.fold(weight, bias)
    assert torch.allclose(LinearHead(new_weight, new_bias)(left(x)), want, atol=1e-3)
    kinds, arrays = left.state()
    assert torch.allclose(Prepare.from_state([5, 7], kinds, arrays)(x), left(x))


def test_unfold_inverts_fold(x_ND) -> None:
    prepare = fit(x_ND, [5, 7], [["std"], []])
    weight, bias = torch.randn(3, 12, generator=torch.Generator().manual_seed(0)), torch.zeros(3)
    new_weight, new_bias, _ = prepare.fold(weight, bias)
    old_weight, old_bias = prepare.unfold(new_weight, new_bias)
    assert torch.allclose(old_weight, weight, atol=1e-5)
    assert torch.allclose(old_bias, bias, atol=1e-4)
    with pytest.raises(BadValue, match="blocks are standardised"):
        fit(x_ND, [12], [["pca3"]]).unfold(weight[:, :3], bias)


def test_features_that_are_not_finite_and_too_many_components(x_ND) -> None:
    with pytest.raises(
        BadValue, match=r"features b0:pca50: 50 training rows and 12 columns have at most 12 components"
    ):
        fit(x_ND, [12], [["pca50"]])
    for value, says in (
        (np.nan, "features b1: column 1 holds NaN or infinity"),
        (1e30, "features b1: column 1 holds numbers beyond 1e16: the sum of their squares passes"),
    ):
        x_ND[3, 8] = value
        for recipe in (["std"], [], ["pca2"]):
            with pytest.raises(BadFeatures, match=says):
                fit(x_ND, [7, 5], [["std"], recipe])
    x_ND[3, 9] = 1e30
    with pytest.raises(BadFeatures, match="features b1: 2 columns hold, first column 1, numbers beyond"):
        fit(x_ND, [7, 5], [["std"], ["std"]])
