"""Full-batch multinomial logistic regression for a path of weight decays.

Minimises mean cross-entropy + λ/2 |W|², bias unpenalised: sklearn's LogisticRegression(C=1 / (λ N)). The path runs from
the strongest weight decay to the weakest, each started at the solution before.
"""

import logging

import torch
from torch import Tensor

from probe.data import Data
from probe.heads import LinearHead
from probe.objectives import softmax_pass
from probe.solvers import Fit, Settings
from probe.solvers.quasi_newton import Descent, run_together

log = logging.getLogger("probe")
WIDE = 64
"""Weight decays share a pass until their classes together make products this wide; beyond, sharing saves nothing."""


def fit(data: Data, settings: Settings) -> list[Fit]:
    """One head per weight decay, with a certificate: the gradient's largest entry and norm, and the bound on
    objective - minimum that strong convexity gives, |∇_W|² / 2λ (Boyd and Vandenberghe, section 9.1.2).
    """
    C, d = data.num_classes, data.dim + 1
    order = sorted(range(len(settings.weight_decay)), key=lambda i: -settings.weight_decay[i])
    together = len(order) if data.streamed else max(1, WIDE // C)
    start = torch.zeros(C * d, device=data.device)
    fits: dict[int, Fit] = {}
    for first in range(0, len(order), together):
        members = order[first : first + together]
        lambdas = torch.tensor([settings.weight_decay[i] for i in members], dtype=torch.float64, device=data.device)
        runs = [Descent(start, settings.tolerance) for _ in members]

        def evaluate(points: Tensor, active: list[int], lambdas: Tensor = lambdas) -> tuple[Tensor, Tensor]:
            objectives, gradients = softmax_pass(data, points.view(-1, C, d), lambdas[active])
            return objectives, gradients.view(len(active), -1)

        run_together(runs, evaluate, settings.max_passes)
        for member, run in zip(members, runs, strict=True):
            fits[member] = _finish(run, settings.weight_decay[member], C, settings.tolerance)
        start = runs[-1].best
    return [fits[i] for i in range(len(order))]


def _finish(run: Descent, weight_decay: float, C: int, tolerance: float) -> Fit:
    theta, gradient = run.best.view(C, -1), run.gradient.view(C, -1)
    certificate = {
        "objective": run.objective,
        "gradient_max": run.gradient_max,
        "gradient_norm": float(gradient.norm()),
        "gap_bound": float(gradient[:, :-1].double().square().sum()) / (2 * weight_decay) if weight_decay else None,
        "converged": run.converged,
        "tolerance": tolerance,
        "passes": run.passes,
    }
    if not run.converged:
        log.warning(
            "weight decay %g did not converge: largest gradient entry %.2e, tolerance %.0e",
            weight_decay, run.gradient_max, tolerance,
        )  # fmt: skip
    return Fit(
        head=LinearHead(theta[:, :-1].contiguous(), theta[:, -1].contiguous()),
        weight_decay=weight_decay,
        certificate=certificate,
    )
