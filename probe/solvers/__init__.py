"""The solvers, one row each; no torch is imported here.

A solver is a function `(data, settings) -> list[Fit]`; for group objectives it is `grouped.train`, run by probe/ood.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from store.errors import BadValue, UnknownName

LAMBDAS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
TOLERANCE = 3e-5
"""Of `lbfgs`: it ends within a thousandth of the minimum; 1e-6 would take 1.4 to 1.9 times the passes."""
BY_EPOCHS = ("weight_decay", "lr", "seeds", "epochs")
"""Options of solvers that train epoch by epoch."""


@dataclass(frozen=True, kw_only=True)
class Solver:
    what: str
    """For --list."""
    file: str
    """In this folder."""
    function: str = "fit"
    reads: tuple[str, ...] = ("weight_decay",)
    """Options of the command (fields of ProbeConfig) that it reads, of those that not all solvers do."""
    weight_decay: tuple[float, ...] = LAMBDAS
    """The default grid; () where the solver has none."""
    lr: tuple[float, ...] = ()
    """The default grid of learning rates; () where the solver has none."""
    seeds: tuple[int, ...] = (0,)
    """The default random starts."""
    epochs: int = 28
    batch: int = 256
    groups: bool = False
    """Whether it minimises group objectives, and nothing else."""
    probabilities: bool = True
    """Whether softmax(logits) is meant as a probability: NLL and calibration error are reported only then."""
    raw: bool = False
    """Whether a block without options is taken as it is stored where BatchNorm follows; else it is standardised."""


SOLVERS: dict[str, Solver] = {
    "lbfgs": Solver(
        file="lbfgs", what="multinomial logistic regression to a tolerance, a path of weight decays",
        reads=("weight_decay", "precision", "tolerance"),
    ),
    "sgd": Solver(
        file="sgd", what="the paper's protocol: BatchNorm, SGD, 28 epochs; the whole grid in one pass over the data",
        reads=(*BY_EPOCHS, "batch", "views", "batch_norm", "decay_batch_norm", "average", "precision"),
        weight_decay=(1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2), lr=(0.01,), raw=True,
    ),
    "cosine": Solver(
        file="sgd", function="fit_cosine", what="cosine classifier, scaled, weights normalised; trained like sgd",
        reads=(*BY_EPOCHS, "batch", "views"),
        weight_decay=(0.0, 1e-6, 1e-5, 1e-4), lr=(1.0, 10.0),
    ),
    "ridge": Solver(
        file="ridge", what="least squares in closed form, one Gram matrix for all weight decays",
        weight_decay=(1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0), probabilities=False,
    ),
    "nearest": Solver(file="nearest", what="nearest class mean", reads=(), weight_decay=(), probabilities=False),
    "knn": Solver(
        file="knn", what="k nearest neighbours by cosine, exact (faiss)", reads=("k", "temperature"), weight_decay=()
    ),
    "sklearn": Solver(
        file="sklearn", what="scikit-learn's LogisticRegression: the reference", reads=("weight_decay", "tolerance")
    ),
    "sklearn_sgd": Solver(
        file="sklearn", function="fit_sgd", what="scikit-learn's SGDClassifier, hinge loss: another reference",
        weight_decay=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2), probabilities=False,
    ),
    "balanced": Solver(
        file="grouped", function="train",
        what="for --objective: SGD on batches of two groups, the whole grid in one pass over the data",
        reads=(*BY_EPOCHS, "batch"),
        weight_decay=(1e-2,), lr=(1e-3,), seeds=(0, 1, 2, 3, 4), epochs=10, batch=32, groups=True,
    ),
    "fullbatch": Solver(
        file="grouped", function="train",
        what="for --objective: a step an epoch with the exact risk of every group; deterministic",
        reads=BY_EPOCHS,
        weight_decay=(1e-2,), lr=(1e-2,), seeds=(0, 1, 2, 3, 4), epochs=200, groups=True,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    weight_decay: tuple[float, ...]
    """The grid of λ in mean loss + λ/2 |W|²."""
    seed: int = 0
    tolerance: float = TOLERANCE
    """Where `lbfgs` stops: the part of the objective that it still expects to fall. `sklearn` follows in proportion."""
    max_passes: int = 1000
    k: tuple[int, ...] = (10, 20, 100)
    """Grid of `knn`."""
    temperature: float = 0.07
    """Of `knn`'s votes."""
    lr: tuple[float, ...] = (0.01,)
    """Grid of `sgd` and `cosine`."""
    seeds: tuple[int, ...] = (0,)
    """Grid of random starts of `sgd`, `cosine` and the solvers of groups; batches come in `seed`'s order for all."""
    epochs: int = 28
    batch: int = 256
    batch_norm: str = "affine"
    """Before the head of `sgd`: affine, plain (without scale and shift) or none."""
    decay_batch_norm: bool = False
    """Whether weight decay falls on BatchNorm's scale and shift too."""
    average: tuple[Any, ...] = ()
    """Heads of the single blocks: `sgd` starts from their average, cat_weights of the paper."""
    pairs: int = 20
    """Curvature pairs that `lbfgs` keeps: 8 C (D + 1) bytes each."""
    watch: Callable[[int, Sequence[Any]], None] | None = None
    """Of solvers that work in epochs: called after each, 1 the first, with the heads of all members."""
    precision: str = "auto"
    """auto, float32 or bfloat16: how `lbfgs` and `sgd` multiply; see their files."""
    start: Any = None
    """A LinearHead to start from, where a solver can: the result is the same, sooner."""

    def only(self, fit: "Fit") -> "Settings":
        """The settings of one member of the grid, to fit it alone, from where it ended."""
        values: dict[str, Any] = {"start": fit.head, "watch": None}
        values["weight_decay"] = () if fit.weight_decay is None else (fit.weight_decay,)
        values |= {name: (value,) for name, value in fit.extra.items()}  # k, lr, seeds
        return replace(self, **values)


@dataclass(frozen=True, kw_only=True)
class Fit:
    head: Any
    """Prepared features (n, D') -> logits (n, C): probe/heads.py."""
    weight_decay: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What tells grid members apart beside the weight decay: lr, seed, k."""
    certificate: Mapping[str, Any] = field(default_factory=dict)
    """What the solver can say about how well it solved the problem."""


def grid_size(name: str, settings: Settings) -> int:
    """How many members the grid has."""
    grids = {"weight_decay", "lr", "seeds", "k"} & set(SOLVERS[name].reads)
    return math.prod(len(getattr(settings, grid)) for grid in grids)


def solve(name: str, data: Any, settings: Settings) -> list[Fit]:
    """Run a solver by name: one Fit for each member of the grid, in the grid's order."""
    if name not in SOLVERS:
        raise UnknownName("solver", name, SOLVERS, "`python -m probe --list` shows all")
    row = SOLVERS[name]
    if row.groups:
        raise BadValue(f"solver {name} is for group objectives alone: `python -m probe --objective erm --group COLUMN`")
    fits: list[Fit] = getattr(import_module(f"probe.solvers.{row.file}"), row.function)(data, settings)
    return fits
