from itertools import permutations

import numpy as np
import pytest

from probe.search import worth


@pytest.fixture
def correct():
    """Which of 40 samples each subset of four gets right."""
    rng = np.random.default_rng(0)
    return {subset: rng.random(40) < 0.3 + 0.1 * len(subset) for subset in [(), *worth.all_subsets(4, 4)]}


def test_shapley_is_the_mean_over_all_orders(correct) -> None:
    values = worth.shapley(correct, 4, 4)
    expected = np.zeros((4, 40))
    for order in permutations(range(4)):
        for place, one in enumerate(order):
            before = tuple(sorted(order[:place]))
            expected[one] += correct[tuple(sorted((*before, one)))].astype(float) - correct[before]
    np.testing.assert_allclose(values, expected / 24, atol=1e-12)
    np.testing.assert_allclose(values.sum(0), correct[0, 1, 2, 3].astype(float) - correct[()], atol=1e-12)


def test_random_orders_estimate_the_same(correct) -> None:
    exact = worth.shapley(correct, 4, 4)
    orders = worth.random_orders(4, 24, seed=0)
    assert len(orders) == 24
    assert orders[1] == orders[0][::-1]
    some = {tuple(sorted(order[:size])): None for order in orders for size in range(5)}
    estimate = worth.shapley({subset: correct[subset] for subset in some}, 4, 4)
    assert np.abs(estimate.mean(1) - exact.mean(1)).max() < 0.1
    cut = worth.shapley({subset: one for subset, one in correct.items() if len(subset) <= 2}, 4, 2)
    assert cut.shape == (4, 40)


def test_intervals_cover_the_mean_and_shrink_with_samples() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(0.3, 1, (2, 100)), rng.normal(0.3, 1, (2, 10000))
    for values in (few, many):
        for (low, high), row in zip(worth.interval(values, 0), values, strict=True):
            assert low < row.mean() < high
            assert (high - low) / (2 * 1.96 * row.std() / len(row) ** 0.5) == pytest.approx(1, abs=0.12)


def test_numbers_of_subsets() -> None:
    assert worth.number_of_subsets(10, 10) == len(worth.all_subsets(10, 10)) == 1023
    assert worth.number_of_subsets(19, 2) == len(worth.all_subsets(19, 2)) == 19 + 171


def test_error_overlap() -> None:
    right = [np.array([1, 1, 0, 0], bool), np.array([1, 0, 0, 1], bool), np.array([1, 1, 1, 1], bool)]
    found = worth.error_overlap(right)
    assert found[0, 1] == found[1, 0] == 1 / 3
    assert found[0, 2] == 0
    assert found.diagonal().tolist() == [1, 1, 1]


def test_best_of_each_size_and_what_nothing_cheaper_equals() -> None:
    rows = [
        {"members": [0, 1], "val_top1": 0.9, "dim": 5},
        {"members": [0, 2], "val_top1": 0.8, "dim": 7},
        {"members": [1], "val_top1": 0.8, "dim": 3},
        {"members": [0], "val_top1": 0.5, "dim": 2},
    ]
    assert worth.best_per_size(rows) == [2, 0]
    assert worth.pareto(rows, "dim") == [3, 2, 0]
    assert worth.pareto(rows, "backbone_parameters") == []


def test_rank_correlation_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    a = rng.integers(0, 8, 30)
    b = a + rng.integers(0, 8, 30)
    found = worth.rank_correlation(a, b)
    assert found["spearman"] == pytest.approx(stats.spearmanr(a, b).statistic)
    assert found["kendall"] == pytest.approx(stats.kendalltau(a, b).statistic)
    assert found["num"] == 30
    assert worth.rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert worth.rank_correlation([1, 2], [1, 2]) is None


def test_enough_is_the_smallest_that_is_not_told_apart_from_the_best() -> None:
    rows = [{"members": range(size), "val_top1": top1} for size, top1 in ((4, 0.80), (3, 0.79), (2, 0.77), (1, 0.70))]
    assert worth.enough(rows, 100) == 2  # a standard error is 0.04
    assert worth.enough(rows, 2500) == 0  # 0.008
    assert worth.enough(rows, 1000) == 1  # 0.0126
    assert worth.enough(rows, 4) == 3
