import numpy as np
import pytest

from store import open_features
from store.moments import MomentsFitter, moments


@pytest.mark.parametrize("portions", [[1000], [1] * 50 + [950], [300, 0, 700]])
def test_streaming_is_one_shot(portions) -> None:
    x = np.random.default_rng(0).normal(1e4, 1e-1, size=(1000, 7)).astype(np.float32)
    fitter = MomentsFitter(7)
    for part in np.split(x, np.cumsum(portions)[:-1]):
        fitter.update(part)
    result, exact = fitter.result(), x.astype(np.float64)
    assert result.count == 1000
    np.testing.assert_allclose(result.mean, exact.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(result.var, exact.var(axis=0), rtol=1e-10)  # where sums of squares lose all digits
    np.testing.assert_allclose(result.std, exact.std(axis=0), rtol=1e-10)


def test_no_rows_have_no_variance() -> None:
    assert MomentsFitter(2).result().var.tolist() == [0, 0]


def test_the_caller_keeps_its_array() -> None:
    x = np.ones((5, 2))
    MomentsFitter(2).update(x)
    assert (x == 1).all()


def test_moments_of_a_concatenation_leave_out_bad_rows(root, make_set) -> None:
    x = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    make_set(x, {"label": np.zeros(100, int)}, backbone="a", bad_rows={3: "bad"})
    make_set(2 * x, {"label": np.zeros(100, int)}, backbone="b")
    result = moments(open_features(root, "toy", "train", "a,b"))
    want = np.delete(np.hstack([x, 2 * x]), 3, axis=0).astype(np.float64)
    assert result.count == 99
    np.testing.assert_allclose(result.mean, want.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(result.var, want.var(axis=0), rtol=1e-12)
