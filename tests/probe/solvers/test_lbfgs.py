import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from probe.data import Data, Held
from probe.prepare import Prepare
from probe.solvers import Settings, solve


def data_of(x_ND: np.ndarray, y_N: np.ndarray, num_classes: int | None = None) -> Data:
    dim = x_ND.shape[1]
    source = Held(x_ND.astype(np.float32))
    count = num_classes or int(y_N.max()) + 1
    plain = Prepare([dim], [[]])
    return Data(
        ((source, np.arange(len(y_N))),), torch.from_numpy(y_N.astype(np.int64)), count, plain, torch.device("cpu")
    )


def made(n: int, d: int, c: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y_N = rng.integers(0, c, n)
    return (rng.normal(size=(c, d))[y_N] * 0.7 + rng.normal(size=(n, d))).astype(np.float32), y_N


def objective(x_ND, y_N, weight, bias, weight_decay) -> float:
    weight = np.asarray(weight, np.float64)
    logits = x_ND.astype(np.float64) @ weight.T + np.asarray(bias, np.float64)
    top = logits.max(1, keepdims=True)
    lse = np.log(np.exp(logits - top).sum(1)) + top[:, 0]
    return float((lse - logits[np.arange(len(y_N)), y_N]).mean() + weight_decay / 2 * np.square(weight).sum())


@pytest.mark.parametrize(("n", "d", "c"), [(400, 20, 5), (60, 100, 3), (300, 8, 2)])
def test_the_path_reaches_sklearns_minimum(n, d, c) -> None:
    x_ND, y_N = made(n, d, c)
    lambdas = (1e-3, 1e-1, 1e-2)
    fits = solve("lbfgs", data_of(x_ND, y_N), Settings(weight_decay=lambdas, tolerance=1e-6))
    for weight_decay, fit in zip(lambdas, fits, strict=True):
        assert fit.weight_decay == weight_decay
        assert fit.certificate["converged"]
        # of two classes sklearn fits one vector w = w1 - w0; ours splits it evenly, and its penalty is half as large
        alpha = weight_decay / 2 if c == 2 else weight_decay
        peer = LogisticRegression(C=1 / (alpha * n), tol=1e-9, max_iter=10000)
        peer.fit(x_ND.astype(np.float64), y_N)
        W, b = peer.coef_, peer.intercept_
        if c == 2:
            W, b = np.vstack([-W, W]) / 2, np.concatenate([-b, b]) / 2
        want, got = (
            objective(x_ND, y_N, W, b, weight_decay),
            objective(x_ND, y_N, fit.head.weight, fit.head.bias, weight_decay),
        )
        assert got == pytest.approx(want, rel=1e-5)
        assert np.allclose(fit.head.weight.numpy(), W, atol=2e-3)
        assert got - want <= fit.certificate["gap_bound"] + 1e-7


def test_a_member_of_the_path_is_the_run_alone() -> None:
    data = data_of(*made(300, 10, 4))
    path = solve("lbfgs", data, Settings(weight_decay=(1e-1, 1e-2, 1e-3), tolerance=1e-6))
    for fit in path:
        (alone,) = solve("lbfgs", data, Settings(weight_decay=(fit.weight_decay,), tolerance=1e-6))
        assert torch.allclose(fit.head.weight, alone.head.weight, atol=1e-3)
        assert fit.certificate["objective"] == pytest.approx(alone.certificate["objective"], rel=1e-6)
