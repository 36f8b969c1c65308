"""L-BFGS that is asked, so that several runs can share each pass over the features.

Source: Nocedal and Wright, "Numerical Optimization", 2nd edition, algorithms 7.4 and 7.5; the line search is
backtracking with quadratic interpolation, enough for a convex objective.
"""

from collections import deque
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from probe import ranks

ARMIJO = 1e-4
NOISE = 2e-7
"""Relative error of an objective that was summed from float32 logits: a rise below it is not a rise."""
FLOOR = 1e-6
"""A run that float32 lets fall no further has converged if it expects no more than this part of its objective."""
ROUGH = 1e-5
"""Relative error of an objective that was not evaluated exactly."""
ROUGH_END = 3e-5
"""Rough evaluations end where the objective is expected to fall by no more than this part of itself."""
ROUGH_STEP = 0.1
"""A step that rough evaluations shorten below it is theirs, not the objective's."""
CHECKS = 3
"""So often a run that thought it had converged is sent back to rough evaluations; then it gets exact ones."""
TINY = 1e-30
"""Of float32 numbers: quotients of smaller ones are noise, or no numbers."""
STALL = 5
"""So many accepted steps in a row without a fall above the noise end a run."""

Pair = tuple[Tensor, Tensor, float]
"""(s, y, 1 / s'y): a step, the change of the gradient along it, and their curvature"""


def dot(a: Tensor, b: Tensor) -> float:
    """The inner product of vectors, over the classes of all ranks."""
    return float(ranks.add_classes(a @ b))


class Descent:
    """One minimisation: evaluate at `point`, then `tell`, until `done`.

    Args:
        start: (P,) float32.
        tolerance: stop where the objective is expected to fall by no more than this part of itself: half the slope
            along the quasi-Newton direction, which is the Newton decrement of the model (Boyd and Vandenberghe, 9.5.1).
            Below FLOOR it is the noise of float32 that ends a run.
        pairs: what an earlier minimisation of a similar objective learned of the curvature.
        memory: how many pairs are kept.
        scale: a gradient times the diagonal of an inverse Hessian, up to a factor; may overwrite it.
        rough: whether evaluations on the way need not be exact; the last one is, and says whether it converged.

    Attributes:
        best: the last accepted point, (P,); `objective`, `gradient` and `decrement` there.
        sure: whether objective and gradient there are exact.
        point: where to evaluate next; `exact`: whether that must be exact.
    """

    def __init__(
        self, start: Tensor, tolerance: float, pairs: Iterable[Pair] = (), memory: int = 20,
        scale: Callable[[Tensor], Tensor] = lambda q: q, *, rough: bool = False,
    ) -> None:  # fmt: skip
        self.best = self.point = start
        self.gradient = torch.zeros_like(start)
        self.objective = self.decrement = float("inf")
        self.tolerance, self.scale = tolerance, scale
        self.pairs: deque[Pair] = deque(pairs, maxlen=memory)
        self.direction, self.slope, self.step = start, 0.0, 1.0
        self.done = self.converged = False
        self.passes = self.exact_passes = self._flat = self._checks = 0
        self.exact, self.sure, self._checking = not rough, False, False

    def tell(self, objective: float, gradient: Tensor, *, exact: bool = True) -> None:
        """Objective and gradient at `point`; sets the next point, or `done`."""
        self.passes, self.exact_passes = self.passes + 1, self.exact_passes + exact
        noise = NOISE if exact else ROUGH
        if self._checking:  # the same point, now exact
            self._checking, self.exact = False, self._checks >= CHECKS or self.tolerance < ROUGH_END
        elif self.passes > 1:
            if not self._accepts(objective, gradient, noise):
                self._shorten(objective)
                return
            s, y = self.point - self.best, gradient - self.gradient
            curvature = dot(s, y)
            if curvature > 1e-12 * dot(y, y) > TINY:
                self.pairs.append((s, y, 1 / curvature))
            self._flat = 0 if objective < self.objective * (1 - noise) else self._flat + 1
        self.best, self.objective, self.gradient, self.sure = self.point, objective, gradient, exact
        self._aim()
        tolerance = self.tolerance if exact else max(self.tolerance, ROUGH_END)
        if not self.slope < 0 or (self.passes > 2 and self.decrement <= tolerance * abs(objective)):
            if exact:
                self.done = self.converged = True
                self.direction = self.point = self.best  # two vectors less to keep
            else:
                self.check()
        elif self._flat == STALL:
            self._stop()

    def check(self) -> None:
        """Ask for an exact evaluation of the best point."""
        self.point, self.exact, self._checking = self.best, True, True
        self._checks, self._flat = self._checks + 1, 0

    def finish(self) -> None:
        """End here, not converged, as soon as the best point is known exactly."""
        if self.sure:
            self.done = True
        elif not self._checking:
            self.check()

    def _accepts(self, objective: float, gradient: Tensor, noise: float) -> bool:
        if objective <= self.objective + ARMIJO * self.step * self.slope:
            return True
        # Hager and Zhang's approximate Wolfe condition: near the minimum differences of the objective are noise
        flat = objective <= self.objective + noise * abs(self.objective)
        return flat and dot(gradient, self.direction) <= (2 * ARMIJO - 1) * self.slope

    def _shorten(self, objective: float) -> None:
        rise = objective - self.objective - self.step * self.slope
        factor = -self.slope * self.step / (2 * rise) if 0 < rise < float("inf") else 0.1
        self.step *= min(max(factor, 0.1), 0.5)
        if not self.exact and self.step < ROUGH_STEP:
            self.check()
            return
        if self.step < 1e-6:
            if self.pairs:  # the memory misleads: go on from the gradient alone
                self.pairs.clear()
                self._aim()
            else:
                self._stop()
            return
        self.point = self.best + self.step * self.direction

    def _stop(self) -> None:
        if not self.exact:  # noise of rough evaluations, perhaps
            self._checks = CHECKS
            self.check()
            return
        self.done, self.converged = True, self.decrement <= FLOOR * abs(self.objective)

    def _aim(self) -> None:
        self.direction = self._two_loop(self.gradient).neg_()
        self.slope = dot(self.direction, self.gradient)
        if not self.slope < 0:
            self.pairs.clear()
            self.direction = self.scale(self.gradient.clone()).neg_()
            self.slope = dot(self.direction, self.gradient)
        self.decrement = -self.slope / 2
        self.step = 1.0 if self.pairs else min(1.0, 1 / max(dot(self.direction, self.direction) ** 0.5, 1e-30))
        self.point = self.best + self.step * self.direction

    def _two_loop(self, gradient: Tensor) -> Tensor:
        q, alphas = gradient.clone(), []
        for s, y, rho in reversed(self.pairs):
            alphas.append(rho * dot(s, q))
            q.sub_(y, alpha=alphas[-1])
        q = self.scale(q)
        if self.pairs:
            _, y, rho = self.pairs[-1]
            q.mul_(1 / (rho * dot(y, self.scale(y.clone()))))
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q.add_(s, alpha=alpha - rho * dot(y, q))
        return q


def run_path(
    count: int,
    begin: Callable[[list[Descent]], Descent],
    evaluate: Callable[[list[Descent], list[int]], Iterable[tuple[float, Tensor, bool]]],
    *,
    ready: float,
    max_passes: int,
) -> list[Descent]:
    """Run `count` minimisations, each begun from those before it; all that are under way share every pass.

    Args:
        begin: the runs so far -> the next run.
        evaluate: runs and their indices -> at the point of each, objective, gradient (P,), and whether both are exact.
        ready: the next run begins when the newest expects to fall by no more than this part of its objective.
        max_passes: a run that has taken this many is stopped, not converged.
    """
    runs: list[Descent] = []
    while True:
        if len(runs) < count and (not runs or runs[-1].done or runs[-1].decrement <= ready * abs(runs[-1].objective)):
            runs.append(begin(runs))
        active = [index for index, run in enumerate(runs) if not run.done]
        if not active:
            if len(runs) == count:
                return runs
            continue
        found = evaluate([runs[index] for index in active], active)
        for index, (objective, gradient, exact) in zip(active, found, strict=True):
            runs[index].tell(objective, gradient, exact=exact)
            if runs[index].passes >= max_passes and not runs[index].done:
                runs[index].finish()
