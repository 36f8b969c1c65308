import numpy as np
import pytest
import torch
from sklearn.linear_model import SGDClassifier

from probe.solvers import Settings, solve


@pytest.mark.parametrize("classes", [2, 4])
def test_the_reference_and_ours_have_one_minimum(made, data_of, classes) -> None:
    data = data_of(*made(200, 10, classes))
    settings = Settings(weight_decay=(1e-1, 1e-2), tolerance=1e-9)
    for ours, theirs in zip(solve("lbfgs", data, settings), solve("sklearn", data, settings), strict=True):
        assert theirs.certificate["converged"]
        assert torch.allclose(ours.head.weight, theirs.head.weight, atol=3e-3)


def test_a_class_absent_from_train_is_never_chosen(made, data_of) -> None:
    x_ND, y_N = made(60, 5, 2)
    data = data_of(x_ND, y_N * 2, num_classes=4)  # classes 0 and 2 only
    for solver in ("sklearn", "lbfgs", "ridge"):
        (fit,) = solve(solver, data, Settings(weight_decay=(1e-2,)))
        assert set(fit.head(torch.from_numpy(x_ND)).argmax(1).tolist()) == {0, 2}, solver


def test_sgd_classifier_is_sklearns(made, data_of) -> None:
    x_ND, y_N = made(120, 6, 3)
    (fit,) = solve("sklearn_sgd", data_of(x_ND, y_N), Settings(weight_decay=(1e-3,), seed=4))
    peer = SGDClassifier(alpha=1e-3, random_state=4, max_iter=1000).fit(x_ND.astype(np.float64), y_N)
    assert np.allclose(fit.head.weight.numpy(), peer.coef_, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_certificate_is_that_of_lbfgs_at_the_same_head(made, data_of, classes) -> None:
    data = data_of(*made(200, 30, classes))
    for weight_decay in (1e-1, 1e-6):
        (theirs,) = solve("sklearn", data, Settings(weight_decay=(weight_decay,)))
        (ours,) = solve("lbfgs", data, Settings(weight_decay=(weight_decay,), tolerance=1e-7))
        assert theirs.certificate["converged"]
        assert theirs.certificate["objective"] == pytest.approx(ours.certificate["objective"], rel=1e-3)


def test_what_stopped_early_is_not_called_converged(made, data_of, caplog) -> None:
    data = data_of(*made(200, 30, 4))
    (fit,) = solve("sklearn", data, Settings(weight_decay=(1e-6,), max_passes=1))
    assert not fit.certificate["converged"]
    assert fit.certificate["gradient_max"] > 1e-7
    assert "weight decay 1e-06: not converged after scikit-learn's 10 passes" in caplog.text
