import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from probe.solvers import Settings, band, ridge, solve
from store.errors import BadValue


def sklearn_ridge(x_ND, y_N, weight_decay) -> Ridge:
    t_NC = 2.0 * np.eye(y_N.max() + 1)[y_N] - 1
    return Ridge(alpha=weight_decay * len(y_N)).fit(x_ND.astype(np.float64), t_NC)


@pytest.mark.parametrize("many", [2, 100])
@pytest.mark.parametrize(("n", "d"), [(300, 20), (40, 90)])
def test_equals_sklearn_whichever_way_it_is_solved(made, data_of, monkeypatch, n, d, many) -> None:
    monkeypatch.setattr(ridge, "MANY", many)
    monkeypatch.setattr(band, "WIDTH", 8)
    x_ND, y_N = made(n, d, 4)
    x_ND[:, 3] += 50  # far from centred
    lambdas = (1.0, 1e-2, 1e-6)
    for weight_decay, fit in zip(
        lambdas, solve("ridge", data_of(x_ND, y_N), Settings(weight_decay=lambdas)), strict=True
    ):
        peer = sklearn_ridge(x_ND, y_N, weight_decay)
        assert np.allclose(fit.head.weight.numpy(), peer.coef_, rtol=1e-3, atol=1e-4 * np.abs(peer.coef_).max())
        assert np.allclose(fit.head(torch.from_numpy(x_ND)).numpy(), peer.predict(x_ND), atol=2e-3)


def test_panels_of_the_gram_matrix_meet(made, data_of, monkeypatch) -> None:
    monkeypatch.setattr(ridge, "PANEL", 7)
    monkeypatch.setattr(ridge, "ROWS", 32)
    x_ND, y_N = made(200, 30, 3)
    (fit,) = solve("ridge", data_of(x_ND, y_N), Settings(weight_decay=(1e-2,)))
    assert np.allclose(fit.head.weight.numpy(), sklearn_ridge(x_ND, y_N, 1e-2).coef_, atol=1e-5)


@pytest.mark.parametrize("many", [1, 100])
def test_a_singular_system_is_an_error(made, data_of, monkeypatch, many) -> None:
    monkeypatch.setattr(ridge, "MANY", many)
    x_ND, y_N = made(200, 10, 3)
    x_ND[:, 4] = 0
    with pytest.raises(BadValue, match=r"depend on each other at weight decay 0: give a larger"):
        solve("ridge", data_of(x_ND, y_N), Settings(weight_decay=(0.0,)))
