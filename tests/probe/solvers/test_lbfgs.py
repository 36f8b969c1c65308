import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from probe.data import Held
from probe.objectives import softmax_pass
from probe.solvers import LAMBDAS, Settings, lbfgs, passes, solve

EXACT = 1e-9


def objective(x_ND, y_N, weight, bias, weight_decay) -> float:
    weight = np.asarray(weight, np.float64)
    logits = x_ND.astype(np.float64) @ weight.T + np.asarray(bias, np.float64)
    top = logits.max(1, keepdims=True)
    lse = np.log(np.exp(logits - top).sum(1)) + top[:, 0]
    return float((lse - logits[np.arange(len(y_N)), y_N]).mean() + weight_decay / 2 * np.square(weight).sum())


@pytest.mark.parametrize(("n", "d", "c"), [(400, 20, 5), (60, 100, 3), (300, 8, 2)])
def test_the_path_reaches_sklearns_minimum(made, data_of, n, d, c) -> None:
    x_ND, y_N = made(n, d, c)
    lambdas = (1e-3, 1e-1, 1e-2)
    fits = solve("lbfgs", data_of(x_ND, y_N), Settings(weight_decay=lambdas, tolerance=EXACT))
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
        want = objective(x_ND, y_N, W, b, weight_decay)
        got = objective(x_ND, y_N, fit.head.weight, fit.head.bias, weight_decay)
        assert got == pytest.approx(want, rel=1e-5)
        assert np.allclose(fit.head.weight.numpy(), W, atol=2e-3)
        assert got - want <= fit.certificate["gap_bound"] + 1e-7


def test_the_default_tolerance_is_within_a_thousandth_of_the_minimum(made, data_of) -> None:
    data, lambdas = data_of(*made(500, 60, 6)), (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
    exact = solve("lbfgs", data, Settings(weight_decay=lambdas, tolerance=EXACT))
    for fit, best in zip(solve("lbfgs", data, Settings(weight_decay=lambdas)), exact, strict=True):
        assert fit.certificate["objective"] <= best.certificate["objective"] * 1.001


@pytest.mark.parametrize("remote", [False, True])
def test_a_member_of_the_path_is_the_run_alone(made, data_of, monkeypatch, remote) -> None:
    data = data_of(*made(300, 10, 4))
    monkeypatch.setattr(Held, "remote", remote)
    path = solve("lbfgs", data, Settings(weight_decay=(1e-1, 1e-2, 1e-3), tolerance=EXACT))
    for fit in path:
        (alone,) = solve("lbfgs", data, Settings(weight_decay=(fit.weight_decay,), tolerance=EXACT))
        assert torch.allclose(fit.head.weight, alone.head.weight, atol=5e-3)
        assert fit.certificate["objective"] == pytest.approx(alone.certificate["objective"], rel=1e-6)


def test_over_a_network_weight_decays_share_readings(made, data_of, monkeypatch) -> None:
    data = data_of(*made(1000, 30, 3))
    asked = Settings(weight_decay=LAMBDAS[::-1], precision="float32")
    readings = []
    for remote in (False, True):
        monkeypatch.setattr(Held, "remote", remote)
        seen: list[int] = []

        def watched(*args, seen: list[int] = seen, **options):
            seen.append(1)
            return softmax_pass(*args, **options)

        monkeypatch.setattr(lbfgs, "softmax_pass", watched)
        monkeypatch.setattr(passes, "softmax_pass", watched)
        fits = solve("lbfgs", data, asked)
        readings.append((len(seen), sum(fit.certificate["passes"] for fit in fits)))
    (alone, of_each), (shared, of_all) = readings
    assert alone == of_each
    assert shared < min(alone, of_all)


def test_no_weight_decay_on_separable_data_ends_and_says_so(made, data_of, caplog) -> None:
    data = data_of(*made(30, 50, 3))
    (fit,) = solve("lbfgs", data, Settings(weight_decay=(0.0,), tolerance=1e-12, max_passes=5))
    assert not fit.certificate["converged"]
    assert fit.certificate["gap_bound"] is None
    assert "weight decay 0 did not converge in 5 passes" in caplog.text


def test_features_that_say_nothing_give_the_class_shares(data_of) -> None:
    y_N = np.array([0, 0, 0, 1])
    (fit,) = solve("lbfgs", data_of(np.zeros((4, 3)), y_N), Settings(weight_decay=(1e-2,), tolerance=EXACT))
    assert torch.allclose(fit.head(torch.zeros(1, 3)).softmax(1), torch.tensor([[0.75, 0.25]]), atol=1e-4)
