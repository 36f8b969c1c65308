"""The solvers, one row each. A solver is a file with `fit(data, settings) -> list[Fit]`; no torch is imported here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from store.errors import UnknownName

LAMBDAS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True, kw_only=True)
class Solver:
    what: str
    """For --list."""
    weight_decay: tuple[float, ...] = LAMBDAS
    """The default grid; () where the solver has none."""
    probabilities: bool = True
    """Whether softmax(logits) is meant as a probability: NLL and calibration error are reported only then."""


SOLVERS: dict[str, Solver] = {
    "lbfgs": Solver(what="full-batch multinomial logistic regression, a path of weight decays, to a tolerance"),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    weight_decay: tuple[float, ...]
    """The grid of λ in mean loss + λ/2 |W|²."""
    seed: int = 0
    tolerance: float = 1e-4
    """Where `lbfgs` stops: the largest absolute entry of the gradient of the mean objective."""
    max_passes: int = 2000

    def only(self, fit: "Fit") -> "Settings":
        """The settings of one member of the grid, to fit it alone."""
        return replace(self, weight_decay=() if fit.weight_decay is None else (fit.weight_decay,), **fit.extra)


@dataclass(frozen=True, kw_only=True)
class Fit:
    head: Any
    """Prepared features (n, D') -> logits (n, C): probe/heads.py."""
    weight_decay: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What tells grid members apart beside the weight decay: lr, seed, k."""
    certificate: Mapping[str, Any] = field(default_factory=dict)
    """What the solver can say about how well it solved the problem."""


def solve(name: str, data: Any, settings: Settings) -> list[Fit]:
    """Run a solver by name: one Fit for each member of the grid, in the grid's order."""
    if name not in SOLVERS:
        raise UnknownName("solver", name, SOLVERS, "`python -m probe --list` shows all")
    fits: list[Fit] = import_module(f"probe.solvers.{name}").fit(data, settings)
    return fits
