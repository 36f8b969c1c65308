"""Least-squares heads in closed form: one Gram matrix for every weight decay, or its dual where rows are fewer.

Few weight decays take a Cholesky factor each; many share one reduction to a banded matrix (band.py).

Minimises 1/(2N) Σ |W x + b - t|² + λ/2 |W|² with t = ±1, one class against the others: sklearn's Ridge(alpha=λ N).
Source: Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", section 3.4.1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from probe import ranks
from probe.data import Data
from probe.heads import LinearHead
from probe.solvers import Fit, Settings
from probe.solvers.band import RIGHT, Band
from store.errors import BadValue

ROWS = 4096
"""In one product of the Gram matrix: enough that adding it up in float64 costs little beside it."""
PANEL = 1024
"""Columns in one panel; only panels on and right of the diagonal are computed."""
MANY = 5
"""From this many weight decays on, one reduction to a band is faster than a Cholesky factor for each, measured."""
RESIDUAL = 1e-5
"""A float32 solution whose relative residual stays larger after refinement is solved again in float64."""
ROUNDS = 3
"""Of refinement, at most."""


@dataclass(frozen=True)
class Normal:
    """(gram + λ I) W' = cross, both divided by N and centred."""

    gram: Tensor
    """(D, D) float64, or (N, N) of the dual"""
    cross: Tensor
    """(D, C) float64, or the centred targets (N, C) / N"""
    mean_D: Tensor
    mean_C: Tensor
    rows_ND: Tensor | None = None
    """The centred features, where the system is the dual one: W' = rows' · solution"""


def fit(data: Data, settings: Settings) -> list[Fit]:
    """One head per weight decay. Memory: 16 D² bytes (20 D² while there are few), or the same of N where N < D.

    Raises: BadValue: λ = 0 where columns depend on each other.
    """
    dual = data.total < data.dim and not data.streamed and ranks.count() == 1
    normal = _dual(data) if dual else _primal(data)
    fits = []
    for weight_decay, (solution, residual) in zip(settings.weight_decay, _path(normal, settings), strict=True):
        weight_DC = normal.rows_ND.T.double() @ solution if normal.rows_ND is not None else solution
        head = LinearHead(weight_DC.T.float().contiguous(), (normal.mean_C - normal.mean_D @ weight_DC).float())
        fits.append(Fit(head=head, weight_decay=weight_decay, certificate={"relative_residual": residual}))
    return fits


def targets(data: Data, y_n: Tensor) -> Tensor:
    """(n, C) float32: 1 at the class, -1 elsewhere."""
    t = torch.full((len(y_n), data.num_classes), -1.0, device=data.device)
    return t.scatter_(1, y_n[:, None], 1.0)


def _primal(data: Data) -> Normal:
    D, C, total = data.dim, data.num_classes, data.total
    gram = torch.zeros((D, D), dtype=torch.float64, device=data.device)
    cross = torch.zeros((D, C), dtype=torch.float64, device=data.device)
    sum_D = torch.zeros(D, dtype=torch.float64, device=data.device)
    sum_C = torch.zeros(C, dtype=torch.float64, device=data.device)
    shift_D = _first_mean(data)  # close to the mean, so that centring the sums cancels nothing
    for rows, x in data.chunks(ROWS):
        x_BD, t_BC = x.sub_(shift_D), targets(data, data.y_N[rows])
        for low in range(0, D, PANEL):
            panel = x_BD[:, low : low + PANEL]
            gram[low : low + PANEL, low:] += panel.T @ x_BD[:, low:]
        cross += x_BD.T @ t_BC
        sum_D += x_BD.sum(0, dtype=torch.float64)
        sum_C += t_BC.sum(0, dtype=torch.float64)
    for value in (gram, cross, sum_D, sum_C):
        ranks.add(value)
    for low in range(PANEL, D, PANEL):
        gram[low : low + PANEL, :low] = gram[:low, low : low + PANEL].T
    mean_D, mean_C = sum_D / total, sum_C / total
    gram.div_(total).addr_(mean_D, mean_D, alpha=-1)
    cross.div_(total).addr_(mean_D, mean_C, alpha=-1)
    return Normal(gram, cross, mean_D + shift_D.double(), mean_C)


def _first_mean(data: Data) -> Tensor:
    """The mean of each rank's first rows, averaged over ranks that have any."""
    _, x = next(data.chunks(256), (None, torch.zeros((0, data.dim), device=data.device)))
    weighted = torch.cat([x.sum(0), x.new_tensor([float(len(x))])])
    weighted = ranks.add(weighted)
    return weighted[:-1] / weighted[-1]


def _dual(data: Data) -> Normal:
    total = len(data)
    x_ND = torch.empty((total, data.dim), device=data.device)
    for rows, x in data.chunks():
        x_ND[rows] = x
    t_NC = targets(data, data.y_N).double()
    mean_D, mean_C = x_ND.double().mean(0), t_NC.mean(0)
    x_ND.sub_(mean_D.float())
    gram = (x_ND @ x_ND.T).double().div_(total)
    return Normal(gram, (t_NC - mean_C) / total, mean_D, mean_C, x_ND)


def _path(normal: Normal, settings: Settings) -> Iterator[tuple[Tensor, float]]:
    """For each weight decay the solution X (D, C) float64 and |cross - (gram + λ I) X| / |cross|."""
    lambdas = torch.tensor(settings.weight_decay, dtype=torch.float64, device=normal.gram.device)
    band = Band(normal.gram.float()) if len(lambdas) >= MANY else None
    step = max(1, RIGHT // normal.cross.shape[1]) if band else 1
    for start in range(0, len(lambdas), step):
        part = lambdas[start : start + step]
        solve = band.solve if band else partial(_by_cholesky, _factor(normal.gram.float(), part))
        solutions, residuals = _refined(normal, part, solve)
        for weight_decay, solution, residual in zip(part, solutions, residuals.tolist(), strict=True):
            if not residual <= RESIDUAL:
                exact = partial(_by_cholesky, _factor(normal.gram.clone(), weight_decay))
                (solution,), (residual,) = _refined(normal, weight_decay[None], exact)  # noqa: PLW2901
            if not residual < 1e-3:
                raise BadValue(
                    f"ridge: {len(normal.gram)} columns or rows depend on each other at weight decay "
                    f"{float(weight_decay):g}: give a larger --weight-decay"
                )
            yield solution, float(residual)


def _factor(gram: Tensor, weight_decay: Tensor) -> Tensor:
    """The Cholesky factor of gram + λ I, which is overwritten; NaN where there is none."""
    gram.diagonal().add_(weight_decay)
    factor, info = torch.linalg.cholesky_ex(gram)
    if int(info):
        factor.fill_(torch.nan)
    found: Tensor = factor
    return found


def _by_cholesky(factor: Tensor, lambdas: Tensor, right: Tensor) -> Tensor:  # noqa: ARG001
    return torch.cholesky_solve(right.to(factor.dtype), factor).double().expand(1, -1, -1)


def _refined(normal: Normal, lambdas: Tensor, solve: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Solutions (L, D, C) and relative residuals (L,) in float64, refined while that helps (Wilkinson, 1963)."""
    norm = float(normal.cross.norm()) or 1.0

    def left(x: Tensor) -> tuple[Tensor, Tensor]:
        wide = x.movedim(1, 0).reshape(len(normal.gram), -1)
        product = (normal.gram @ wide).view(len(normal.gram), *x.shape[::2]).movedim(1, 0)
        rest = product.addcmul_(x, lambdas[:, None, None]).neg_().add_(normal.cross)
        return rest, torch.linalg.vector_norm(rest, dim=(1, 2)) / norm

    x = solve(lambdas, normal.cross)
    rest, residuals = left(x)
    for _ in range(ROUNDS):
        if not bool((residuals > RESIDUAL).any()):
            break
        candidate = x + solve(lambdas, rest)
        new_rest, after = left(candidate)
        better = after < residuals
        if not bool(better.any()):
            break
        x, rest = (torch.where(better[:, None, None], new, old) for new, old in ((candidate, x), (new_rest, rest)))
        residuals = torch.where(better, after, residuals)
    return x, residuals
