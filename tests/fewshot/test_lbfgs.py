import torch

from fewshot.lbfgs import minimise


def test_each_problem_reaches_its_own_minimum():
    generator = torch.Generator().manual_seed(0)
    roots_Epp = torch.randn(6, 8, 8, generator=generator, dtype=torch.float64)
    hessian_Epp = roots_Epp @ roots_Epp.transpose(1, 2) + torch.logspace(-2, 3, 6, dtype=torch.float64)[
        :, None, None
    ] * torch.eye(8)
    linear_Ep = torch.randn(6, 8, generator=generator, dtype=torch.float64)

    def loss(x_Ap, which):
        pull_Ap = torch.einsum("epq,eq->ep", hessian_Epp[which], x_Ap)
        return (pull_Ap * x_Ap / 2 - linear_Ep[which] * x_Ap).sum(1), pull_Ap - linear_Ep[which]

    found_Ep = minimise(loss, torch.zeros(6, 8, dtype=torch.float64))
    torch.testing.assert_close(found_Ep, torch.linalg.solve(hessian_Epp, linear_Ep), rtol=1e-5, atol=1e-7)
