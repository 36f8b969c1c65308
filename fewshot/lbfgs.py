"""L-BFGS for many small problems at once (Nocedal & Wright, Numerical Optimization, algorithm 7.4)."""

from collections.abc import Callable

import torch

HISTORY, ITERATIONS, TOLERANCE = 10, 500, 1e-8
_ARMIJO, _SHORTEST = 1e-4, 1e-10

Loss = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def minimise(loss: Loss, x_Ep: torch.Tensor) -> torch.Tensor:
    """The minimum of a convex loss for each of E problems, from `x_Ep`, float64.

    Args:
        loss: (x of some problems, which they are) -> values (E,) and gradients (E, p).
    A problem is done when its largest gradient is below 1e-8, or no step lowers its loss any more.
    """
    x_Ep = x_Ep.clone()
    active_A = torch.arange(len(x_Ep), device=x_Ep.device)
    x, (value, gradient) = x_Ep.clone(), loss(x_Ep, active_A)
    steps: list[torch.Tensor] = []
    changes: list[torch.Tensor] = []
    for _ in range(ITERATIONS):
        direction = -_inverse_hessian_times(gradient, steps, changes)
        slope = (direction * gradient).sum(1)
        length = torch.ones_like(slope) if steps else 1 / gradient.abs().sum(1).clamp_min(1.0)
        new_x, new_value, new_gradient = x, value, gradient
        waiting = torch.ones_like(slope, dtype=torch.bool)
        while waiting.any():
            tried = torch.where(waiting[:, None], x + length[:, None] * direction, new_x)
            tried_value, tried_gradient = loss(tried, active_A)
            new_x, new_value, new_gradient = tried, tried_value, tried_gradient
            waiting &= tried_value > value + _ARMIJO * length * slope
            waiting &= length > _SHORTEST
            length = torch.where(waiting, length / 2, length)
        stuck = new_value >= value
        steps, changes = [*steps[-HISTORY + 1 :], new_x - x], [*changes[-HISTORY + 1 :], new_gradient - gradient]
        x, value, gradient = new_x, new_value, new_gradient
        x_Ep[active_A] = x
        going = (gradient.abs().amax(1) > TOLERANCE) & ~stuck
        if not going.any():
            break
        if not going.all():
            active_A, x, value, gradient = active_A[going], x[going], value[going], gradient[going]
            steps, changes = [s[going] for s in steps], [c[going] for c in changes]
    return x_Ep


def _inverse_hessian_times(
    vector_Ap: torch.Tensor, steps: list[torch.Tensor], changes: list[torch.Tensor]
) -> torch.Tensor:
    """The two-loop recursion; a pair without positive curvature counts for nothing."""
    result, used = vector_Ap, []
    for step, change in zip(reversed(steps), reversed(changes), strict=True):
        curvature = (step * change).sum(1, keepdim=True)
        rho = torch.where(curvature > 1e-300, 1 / curvature, 0.0)
        alpha = rho * (step * result).sum(1, keepdim=True)
        result = result - alpha * change
        used.append((step, change, rho, alpha))
    if steps:
        curvature, square = (steps[-1] * changes[-1]).sum(1), changes[-1].square().sum(1)
        result = result * torch.where((curvature > 0) & (square > 0), curvature / square, 1.0)[:, None]
    for step, change, rho, alpha in reversed(used):
        result = result + step * (alpha - rho * (change * result).sum(1, keepdim=True))
    return result
