"""Least-squares heads in closed form: one Gram matrix for every weight decay, or its dual where rows are fewer.

Minimises 1/(2N) Σ |W x + b - t|² + λ/2 |W|² with t = ±1, one class against the others: sklearn's Ridge(alpha=λ N).
Source: Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", section 3.4.1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from probe import ranks
from probe.data import Data
from probe.heads import LinearHead
from probe.solvers import Fit, Settings
from store.errors import BadValue

ROWS = 4096
"""In one product of the Gram matrix: enough that adding it up in float64 costs little beside it."""
PANEL = 1024
"""Columns in one panel; only panels on and right of the diagonal are computed."""
EIGEN = 40
"""From this many weight decays on, one eigendecomposition is faster than a Cholesky factor for each."""
RESIDUAL = 1e-5
"""A float32 solution whose relative residual is larger is solved again in float64."""


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
    """One head per weight decay. Memory: 12 D² bytes, or 4 N D + 12 N² where N < D and features are held.

    Raises: BadValue: λ = 0 where columns depend on each other.
    """
    dual = data.total < data.dim and not data.streamed and ranks.count() == 1
    normal = _dual(data) if dual else _primal(data)
    solve = _Eigen(normal) if len(settings.weight_decay) >= EIGEN else _Cholesky(normal)
    fits = []
    for weight_decay in settings.weight_decay:
        solution, residual = solve(weight_decay)
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


class _Cholesky:
    """One factor per weight decay, in float32 where its residual in float32 is small, else in float64."""

    def __init__(self, normal: Normal) -> None:
        self.normal = normal
        self.gram, self.cross = normal.gram.float(), normal.cross.float()
        self.norm = float(self.cross.norm())

    def __call__(self, weight_decay: float) -> tuple[Tensor, float]:
        solution, residual = self._solve(self.gram, self.cross, weight_decay)
        if residual > RESIDUAL:
            solution, residual = self._solve(self.normal.gram, self.normal.cross, weight_decay)
        if not residual < 1e-3:
            raise BadValue(
                f"ridge: {self.gram.shape[0]} columns or rows depend on each other at weight decay {weight_decay:g}: "
                "give a larger --weight-decay"
            )
        return solution.double(), residual

    def _solve(self, gram: Tensor, cross: Tensor, weight_decay: float) -> tuple[Tensor, float]:
        diagonal = gram.diagonal()
        kept = diagonal.clone()
        diagonal.add_(weight_decay)
        factor, info = torch.linalg.cholesky_ex(gram)
        solution = torch.cholesky_solve(cross, factor)
        residual = float((gram @ solution - cross).norm()) / self.norm if self.norm else 0.0
        diagonal.copy_(kept)
        return solution, residual if not int(info) else float("inf")


class _Eigen:
    """One eigendecomposition for every weight decay."""

    def __init__(self, normal: Normal) -> None:
        self.normal = normal
        values, self.vectors = torch.linalg.eigh(normal.gram)
        self.values = values.clamp_min(0)
        self.rotated = self.vectors.T @ normal.cross

    def __call__(self, weight_decay: float) -> tuple[Tensor, float]:
        shifted = self.values + weight_decay
        if float(shifted.min()) <= 1e-14 * float(shifted.max()):
            raise BadValue(
                f"ridge: the features depend on each other at weight decay {weight_decay:g}: give a larger one"
            )
        solution = self.vectors @ (self.rotated / shifted[:, None])
        residual = self.normal.gram @ solution + weight_decay * solution - self.normal.cross
        return solution, float(residual.norm() / self.normal.cross.norm())
