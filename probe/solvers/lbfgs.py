"""Full-batch multinomial logistic regression for a path of weight decays.

Minimises mean cross-entropy + λ/2 |W|², bias unpenalised: sklearn's LogisticRegression(C=1 / (λ N)). The path runs from
the strongest weight decay to the weakest. Each run starts where the two before it point to, straight in log λ, and
inherits their curvature pairs, which stay exact: another λ adds (λ' - λ) s to y. A run that begins before the one ahead
of it has ended can share its passes over the features, but starts further from its end: ten weight decays of 2 to 100
classes then took up to 25 % fewer readings and 1.6 to 2.3 times the products, and longer, in memory and from a local
disk. So passes are shared where features are read over a network. Where bfloat16 products are faster, all passes but
the last of each run use them (passes.py).
"""

import logging
import math
from functools import partial

import torch
from torch import Tensor

from probe import ranks
from probe.data import Data
from probe.heads import LinearHead
from probe.objectives import softmax_pass
from probe.solvers import Fit, Settings
from probe.solvers.passes import Passes
from probe.solvers.quasi_newton import Descent, Pair, dot, run_path

log = logging.getLogger("probe")
POINTS = 2
"""Solutions of stronger weight decays that a start is extrapolated from; a third saved no pass in trials."""
SHARED_START = 1e-3
"""Where runs share passes, the next begins when the newest expects to fall by no more than this part of itself."""


def fit(data: Data, settings: Settings) -> list[Fit]:
    """One head per weight decay, with a certificate: gradient norms and `gap_bound`, which strong convexity puts on
    objective - minimum: |∇_W|² / 2λ (Boyd and Vandenberghe, section 9.1.2; the bias is taken as minimised).
    """
    mine = ranks.classes(data.num_classes)
    C, d = len(mine), data.dim + 1
    order = sorted(range(len(settings.weight_decay)), key=lambda i: -settings.weight_decay[i])
    lambdas = torch.tensor([settings.weight_decay[i] for i in order], dtype=torch.float64, device=data.device)
    path = lambdas.tolist()
    first = torch.zeros(C * d, device=data.device)
    if settings.start is not None:
        first.view(C, d)[:, :-1], first.view(C, d)[:, -1] = (
            part[mine.start : mine.stop] for part in (settings.start.weight, settings.start.bias)
        )

    def begin(runs: list[Descent]) -> Descent:
        now = path[len(runs)]
        scale = partial(_scaled, bias=math.sqrt(d) + data.num_classes * now, d=d)
        if not runs:
            return Descent(first, settings.tolerance, (), settings.pairs, scale, rough=passes.reduced)
        last = runs[-1]
        start = _extrapolated([run.best for run in runs[-POINTS:]], path[max(0, len(runs) - POINTS) : len(runs)], now)
        pairs = [_moved(pair, now - path[len(runs) - 1], d, in_place=last.done) for pair in last.pairs]
        if last.done:
            last.pairs.clear()
        pairs = [pair for pair in pairs if pair[2] > 0]
        return Descent(start, settings.tolerance, pairs, settings.pairs, scale, rough=passes.reduced)

    ready = SHARED_START if data.remote and settings.precision != "bfloat16" else 0.0
    passes = Passes(data, "float32" if ready else settings.precision)

    def evaluate(runs: list[Descent], active: list[int]) -> list[tuple[float, Tensor, bool]]:
        if ready:
            points = torch.stack([run.point for run in runs]).view(-1, C, d)
            objectives, gradients = softmax_pass(data, points, lambdas[active])
            return [(value, g.view(-1), True) for value, g in zip(objectives.tolist(), gradients, strict=True)]
        (run,), (index,) = runs, active
        near = not run.exact and passes.has_reference
        return [(*(passes.near if near else passes.exact)(run.point, path[index]), not near)]

    runs = run_path(len(path), begin, evaluate, ready=ready, max_passes=settings.max_passes)
    fits = [
        _finish(run, weight_decay, data.num_classes, settings) for run, weight_decay in zip(runs, path, strict=True)
    ]
    return [fits[order.index(i)] for i in range(len(order))]


def _scaled(gradient: Tensor, bias: float, d: int) -> Tensor:
    """A column of ones, the bias, has curvature p (1 - p), about 1 / C, and no weight decay: weights have λ more. The
    strongest directions of standardised weights have up to D times it; the root of D lies between, and did best.
    """
    gradient.view(-1, d)[:, -1] *= bias
    return gradient


def _extrapolated(points: list[Tensor], lambdas: list[float], now: float) -> Tensor:
    """The polynomial in log λ through these solutions, at λ = now (Lagrange)."""
    if now <= 0 or len(set(lambdas)) < len(lambdas):
        return points[-1]
    t = [math.log(value) for value in lambdas]
    result = torch.zeros_like(points[-1])
    for i, point in enumerate(points):
        factors = [(math.log(now) - t[j]) / (t[i] - t[j]) for j in range(len(t)) if j != i]
        result.add_(point, alpha=math.prod(factors))
    return result


def _moved(pair: Pair, change: float, d: int, *, in_place: bool) -> Pair:
    """The pair of the objective whose λ differs by `change`."""
    s, y = pair[0], pair[1] if in_place else pair[1].clone()
    y.view(-1, d)[:, :-1].add_(s.view(-1, d)[:, :-1], alpha=change)
    curvature = dot(s, y)
    return s, y, 1 / curvature if curvature > 0 else 0.0


def _finish(run: Descent, weight_decay: float, C: int, settings: Settings) -> Fit:
    d = run.best.numel() // len(ranks.classes(C))
    theta, gradient = (ranks.gather_classes(vector.view(-1, d), C) for vector in (run.best, run.gradient))
    certificate = {
        "objective": run.objective,
        "converged": run.converged,
        "tolerance": settings.tolerance,
        "expected_fall": run.decrement,
        "gradient_max": float(gradient.abs().max()),
        "gradient_norm": float(gradient.norm()),
        "bias_gradient_norm": float(gradient[:, -1].norm()),
        "gap_bound": float(gradient[:, :-1].double().square().sum()) / (2 * weight_decay) if weight_decay else None,
        "passes": run.passes,
        "float32_passes": run.exact_passes,
    }
    if not run.converged:
        log.warning(
            "weight decay %g did not converge in %d passes: the objective %.6g may fall by another %.1e",
            weight_decay, run.passes, run.objective, run.decrement,
        )  # fmt: skip
    return Fit(
        head=LinearHead(theta[:, :-1].contiguous(), theta[:, -1].contiguous()),
        weight_decay=weight_decay,
        certificate=certificate,
    )
