import numpy as np
import pytest

from fewshot.statistics import half_interval, paired, spread


def test_the_interval_is_that_of_chen_et_al():
    values = np.random.default_rng(0).random(600)
    assert half_interval(values) == pytest.approx(1.96 * np.std(values) / np.sqrt(600))


def test_pairing_removes_what_the_episodes_share():
    rng = np.random.default_rng(0)
    hard, gain = rng.normal(size=500), rng.normal(0.02, 0.01, size=500)
    mean, ci95 = paired(hard, hard + gain)
    assert mean == pytest.approx(gain.mean())
    assert ci95 == pytest.approx(half_interval(gain))
    assert ci95 < half_interval(hard) / 50


def test_spread_is_over_the_repeats():
    assert spread(np.array([1.0, 3.0, 4.0, 4.0]), 2) == pytest.approx(np.std([2.0, 4.0], ddof=1))
    assert spread(np.array([1.0, 3.0]), 1) is None
