import pytest
import torch

from probe import precision
from probe.objectives import softmax_pass
from probe.solvers import Settings, solve
from probe.solvers.passes import Passes

CPU = torch.device("cpu")


def relative(value: torch.Tensor, want: torch.Tensor) -> float:
    return float((value - want).norm() / want.norm())


def test_near_a_reference_only_the_change_is_rounded(made, data_of) -> None:
    x_ND, y_N = made(300, 80, 5)
    data = data_of(x_ND * 2 + 1, y_N)
    theta = torch.randn(5 * 81, generator=torch.Generator().manual_seed(0)) * 0.1
    found = Passes(data, "bfloat16")
    assert found.reduced
    assert not found.has_reference
    found.exact(theta, 0.5)
    errors = []
    for step in (1e-1, 1e-3):
        near = theta + step * torch.randn(len(theta), generator=torch.Generator().manual_seed(1)) * 0.1
        decay = torch.tensor([0.02], dtype=torch.float64)  # another than the reference's
        objective, gradient = softmax_pass(data, near.view(1, 5, 81), decay)
        got, direction = found.near(near, 0.02)
        assert got == pytest.approx(float(objective), rel=2e-3 * step)
        errors.append(relative(direction, gradient.view(-1)))
    assert errors[1] < errors[0] / 10 < 1e-4


@pytest.mark.parametrize("weight_decay", [1.0, 1e-2, 1e-4])
def test_reduced_passes_end_at_the_minimum_with_a_float32_certificate(made, data_of, weight_decay) -> None:
    data = data_of(*made(600, 50, 20))
    path = (weight_decay * 3, weight_decay)
    exact, low = (solve("lbfgs", data, Settings(weight_decay=path, precision=p)) for p in ("float32", "bfloat16"))
    for a, b in zip(exact, low, strict=True):
        assert b.certificate["converged"]
        assert b.certificate["objective"] == pytest.approx(a.certificate["objective"], rel=2e-4)
        assert a.certificate["float32_passes"] == a.certificate["passes"]
        assert b.certificate["float32_passes"] < b.certificate["passes"]
        theta = torch.cat([b.head.weight, b.head.bias[:, None]], 1)[None]
        decay = torch.tensor([b.weight_decay], dtype=torch.float64)
        objective, gradient = softmax_pass(data, theta, decay)
        assert b.certificate["objective"] == float(objective)
        assert b.certificate["gradient_norm"] == float(gradient.norm())


def test_a_run_that_is_stopped_has_an_exact_certificate_too(made, data_of) -> None:
    data = data_of(*made(600, 50, 20))
    (fit,) = solve("lbfgs", data, Settings(weight_decay=(1e-4,), precision="bfloat16", max_passes=4))
    assert not fit.certificate["converged"]
    assert (fit.certificate["passes"], fit.certificate["float32_passes"]) == (5, 2)
    theta = torch.cat([fit.head.weight, fit.head.bias[:, None]], 1)[None]
    objective, _ = softmax_pass(data, theta, torch.tensor([1e-4], dtype=torch.float64))
    assert fit.certificate["objective"] == float(objective)


def test_bfloat16_is_used_unasked_only_where_it_is_faster_and_fits(made, data_of, monkeypatch) -> None:
    wide, narrow = data_of(*made(50, 400, 8)), data_of(*made(50, 8, 8))
    for gain, reduced in ((2.0, True), (0.5, False)):
        monkeypatch.setattr(precision, "bfloat16_gain", lambda *_, gain=gain: gain)
        assert Passes(wide, "auto").reduced is reduced
        assert not Passes(narrow, "auto").reduced
        assert not Passes(wide, "float32").reduced
        assert Passes(narrow, "bfloat16").reduced


def test_the_gain_is_measured_once_for_a_shape(monkeypatch) -> None:
    precision.bfloat16_gain.cache_clear()
    calls = []

    def seconds(_: torch.Tensor, w: torch.Tensor, dtype: torch.dtype) -> float:
        calls.append(tuple(w.shape))
        return 2.0 if dtype == torch.float32 else 1.0

    monkeypatch.setattr(precision, "_seconds", seconds)
    for _ in range(3):
        assert precision.faster(CPU, 64, 10**6, 5)
    assert set(calls) == {(5, precision.MOST)}
    assert len(calls) == 8
    precision.bfloat16_gain.cache_clear()
