import pytest
import torch

from probe.solvers import band
from probe.solvers.band import Band

LAMBDAS = torch.tensor([1e-3, 0.1, 30.0], dtype=torch.float64)


def gram(n: int) -> torch.Tensor:
    x = torch.randn(2 * n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    return x.T @ x / n


@pytest.mark.parametrize("n", [5, 8, 9, 16, 37])
def test_every_shift_is_solved_as_by_itself(monkeypatch, n) -> None:
    monkeypatch.setattr(band, "WIDTH", 8)
    a, b = gram(n), torch.randn(3, n, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    made = Band(a.clone())
    for right in (b, b[0]):
        found = made.solve(LAMBDAS, right)
        for i, weight_decay in enumerate(LAMBDAS):
            want = torch.linalg.solve(
                a + weight_decay * torch.eye(n, dtype=torch.float64), b[i] if right is b else b[0]
            )
            assert torch.allclose(found[i], want, rtol=1e-9, atol=1e-11)


def test_what_is_left_is_banded_and_columns_that_are_zero_already_are_kept(monkeypatch) -> None:
    monkeypatch.setattr(band, "WIDTH", 4)
    a = torch.zeros(14, 14, dtype=torch.float64)
    a[:9, :9] = gram(9)
    made = Band(a.clone())
    assert len(made.diagonal) == 4
    assert all(torch.equal(block, block.triu()) for block in made.below)
    found = made.solve(LAMBDAS, torch.ones(14, 1, dtype=torch.float64))
    assert torch.allclose((a + 0.1 * torch.eye(14, dtype=torch.float64)) @ found[1], torch.ones(14, 1).double())


def test_a_shift_that_is_not_positive_definite_is_nan(monkeypatch) -> None:
    monkeypatch.setattr(band, "WIDTH", 4)
    found = Band(-gram(10)).solve(LAMBDAS[:1], torch.ones(10, 2))
    assert torch.isnan(found).all()
