"""L-BFGS that is asked, so that several runs can share each pass over the features.

Source: Nocedal and Wright, "Numerical Optimization", 2nd edition, algorithms 7.4 and 7.5; the line search is
backtracking with quadratic interpolation, enough for a convex objective.
"""

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

ARMIJO = 1e-4
NOISE = 2e-7
"""Relative error of an objective that was summed from float32 logits: a rise below it is not a rise."""


class Descent:
    """One minimisation: evaluate at `point`, then `tell`, until `done`.

    Attributes:
        best: the last accepted point, (P,); `objective`, `gradient` there.
        point: where to evaluate next.
    """

    def __init__(self, start: Tensor, tolerance: float, memory: int = 10) -> None:
        self.best = self.point = start
        self.gradient = torch.zeros_like(start)
        self.objective = float("inf")
        self.tolerance = tolerance
        self.pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=memory)
        """(s, y, 1 / s'y), the newest last"""
        self.direction, self.slope, self.step = start, 0.0, 1.0
        self.done = self.converged = False
        self.passes = 0

    @property
    def gradient_max(self) -> float:
        return float(self.gradient.abs().max())

    def tell(self, objective: float, gradient: Tensor) -> None:
        """Objective and gradient at `point`; sets the next point, or `done`."""
        self.passes += 1
        first = self.objective == float("inf")
        if not first and not self._accepts(objective, gradient):
            self._shorten(objective)
            return
        if not first:
            s, y = self.point - self.best, gradient - self.gradient
            curvature = float(s @ y)
            if curvature > 1e-12 * float(y @ y):
                self.pairs.append((s, y, 1 / curvature))
        self.best, self.objective, self.gradient = self.point, objective, gradient
        if self.gradient_max <= self.tolerance:
            self.done = self.converged = True
            return
        self._aim()

    def _accepts(self, objective: float, gradient: Tensor) -> bool:
        if objective <= self.objective + ARMIJO * self.step * self.slope:
            return True
        # Hager and Zhang's approximate Wolfe condition: near the minimum differences of the objective are noise
        return (
            objective <= self.objective + NOISE * abs(self.objective)
            and float(gradient @ self.direction) <= (2 * ARMIJO - 1) * self.slope
        )

    def _shorten(self, objective: float) -> None:
        rise = objective - self.objective - self.step * self.slope
        factor = -self.slope * self.step / (2 * rise) if rise > 0 and rise < float("inf") else 0.1
        self.step *= min(max(factor, 0.1), 0.5)
        if self.step < 1e-6:
            if self.pairs:  # the memory misleads: start again from the gradient
                self.pairs.clear()
                self._aim()
            else:
                self.done = True
            return
        self.point = self.best + self.step * self.direction

    def _aim(self) -> None:
        self.direction = self._two_loop(self.gradient).neg_()
        self.slope = float(self.direction @ self.gradient)
        if not self.slope < 0:
            self.pairs.clear()
            self.direction = -self.gradient
            self.slope = -float(self.gradient @ self.gradient)
        self.step = 1.0 if self.pairs else min(1.0, 1 / float(self.gradient.norm()))
        self.point = self.best + self.step * self.direction

    def _two_loop(self, gradient: Tensor) -> Tensor:
        q, alphas = gradient.clone(), []
        for s, y, rho in reversed(self.pairs):
            alphas.append(rho * float(s @ q))
            q.sub_(y, alpha=alphas[-1])
        if self.pairs:
            s, y, rho = self.pairs[-1]
            q.mul_(1 / (rho * float(y @ y)))
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q.add_(s, alpha=alpha - rho * float(y @ q))
        return q


def run_together(
    runs: list[Descent], evaluate: Callable[[Tensor, list[int]], tuple[Tensor, Tensor]], max_passes: int
) -> None:
    """Advance all runs to their end; each pass evaluates every run that is not done.

    Args:
        evaluate: points (A, P) of the runs with these indices -> objectives (A,) and gradients (A, P).
    """
    for _ in range(max_passes):
        active = [index for index, run in enumerate(runs) if not run.done]
        if not active:
            return
        objectives, gradients = evaluate(torch.stack([runs[i].point for i in active]), active)
        for index, objective, gradient in zip(active, objectives.tolist(), gradients, strict=True):
            runs[index].tell(objective, gradient)
