import pytest
import torch

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
