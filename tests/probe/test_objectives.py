import pytest
import torch

from probe import ranks
from probe.objectives import cross_entropy, softmax_pass


@pytest.mark.parametrize("scale", [1.0, 30.0, 300.0])
def test_cross_entropy_and_its_derivative_are_torchs_in_float64(scale) -> None:
    logits = torch.randn(50, 2, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * scale
    y = torch.arange(50) % 7
    logits[torch.arange(25), :, y[:25]] += scale * 3  # half of them sure and right
    exact = logits.clone().requires_grad_()
    want = torch.stack([torch.nn.functional.cross_entropy(exact[:, k], y, reduction="sum") for k in range(2)])
    want.sum().backward()
    loss, residual = cross_entropy(logits.float(), y)
    assert torch.allclose(loss, want.detach(), rtol=1e-5)
    assert torch.allclose(residual.double(), exact.grad, atol=1e-5 * max(1.0, scale / 30))
    assert torch.allclose(residual.sum(-1), torch.zeros(50, 2), atol=1e-6)


def test_the_gradient_is_the_one_of_autograd(made, data_of) -> None:
    x_ND, y_N = made(40, 6, 3)
    data = data_of(x_ND, y_N)
    theta = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    decay = torch.tensor([0.1, 2.0], dtype=torch.float64)
    objectives, gradients = softmax_pass(data, theta, decay)
    exact = theta.double().requires_grad_()
    logits = torch.einsum("nd,kcd->nkc", torch.from_numpy(x_ND).double(), exact[..., :-1]) + exact[..., -1]
    for k in range(2):
        loss = (
            torch.nn.functional.cross_entropy(logits[:, k], data.y_N) + decay[k] / 2 * exact[k, :, :-1].square().sum()
        )
        (gradient,) = torch.autograd.grad(loss, exact, retain_graph=True)
        assert float(objectives[k]) == pytest.approx(loss.item(), rel=1e-6)
        assert torch.allclose(gradients[k].double(), gradient[k], atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_cross_entropy_over_shared_classes_is_the_one_of_all(monkeypatch, scale) -> None:
    """Two ranks in turn: what each would get from the other is taken from the whole."""
    logits = torch.randn(40, 2, 7, generator=torch.Generator().manual_seed(0)) * scale
    y = torch.arange(40) % 7
    loss, residual = cross_entropy(logits.clone(), y)
    parts = [range(3), range(3, 7)]
    top = logits.amax(-1, keepdim=True)
    shifted = (logits - top).double()
    right = shifted.gather(-1, y[:, None, None].expand(-1, 2, 1)).float()
    others = (shifted.exp().sum(-1, keepdim=True) - right.double().exp()).float()
    for mine in parts:
        sums = iter([right, others])
        monkeypatch.setattr(ranks, "classes_shared", lambda: True)
        monkeypatch.setattr(ranks, "classes", lambda _, mine=mine: mine)
        monkeypatch.setattr(ranks, "most_classes", lambda _: top)
        monkeypatch.setattr(ranks, "add_classes", lambda _, sums=sums: next(sums).clone())
        got, part = cross_entropy(logits[..., mine.start : mine.stop].clone(), y, 7)
        assert torch.allclose(got, loss, rtol=1e-4)
        assert torch.allclose(part, residual[..., mine.start : mine.stop], atol=1e-5)
