"""Group objectives by stochastic gradient descent, every member of the grid trained in one pass over the data.

A member is one (objective, lr, weight decay, penalty, anneal, seed). All see the same batches and their heads are rows
of one matrix: a step is two products, logits and gradients, however many members there are. `balanced` draws batches as
WILDS' group loader does, two distinct groups, uniformly, half a batch each; `fullbatch` takes every row of every group.
SGD with momentum 0.9 and weight decay on every parameter, as torch.optim.SGD; no schedule. Source: TjuJianyu/RFC
src/configs/datasets.py and src/algorithms/VREX.py: before `anneal` steps the penalty is 0, at that step the momentum is
forgotten.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from probe import ranks
from probe.data import Data
from probe.objectives import row_losses
from probe.solvers.members import Heads, Member
from probe.solvers.wide import MOMENTUM
from store.balanced import PER_BATCH, two_groups
from store.errors import BadValue
from store.risks import dro_weights, vrex_weights

AHEAD = 2048
"""Rows that are read at a time: some batches at once."""


@dataclass(frozen=True, kw_only=True)
class GroupSettings:
    epochs: int
    batch: int | None
    """Rows; None: every row of every group, one step an epoch."""
    seed: int = 0
    """Of the order of batches."""
    checks: int = 10
    """How often `check` is called: after each of so many equal parts of the epochs, or after each epoch."""

    def __post_init__(self) -> None:
        """Raise `BadValue` for numbers that no training could use."""
        for name, value in (("epochs", self.epochs), ("batch", self.batch), ("checks", self.checks)):
            if value is not None and value < 1:
                raise BadValue(f"--{name} {value}: at least 1")
        if self.batch is not None and self.batch % PER_BATCH:
            raise BadValue(f"--batch {self.batch}: half of it is of each of {PER_BATCH} groups, so it must be even")


Check = Callable[[int, Heads], None]


class _Sgd:
    """The state of training: momentum, groupDRO's weights, and what each member's risks weigh at a step."""

    def __init__(self, heads: Heads, members: Sequence[Member], num_groups: int) -> None:
        device, rows = heads.weight.device, heads.rows

        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, device=device)

        self.heads, self.rows, self.steps = heads, rows, 0
        self.rate = column([m.lr for m in members]).repeat_interleave(rows)
        self.decay = column([m.weight_decay for m in members]).repeat_interleave(rows)
        self.penalty = column([m.penalty for m in members])
        self.anneal = torch.tensor([m.anneal for m in members], device=device)
        self.now = self.penalty * (self.anneal == 0)
        """(K,): what counts at this step."""
        self.resets = {m.anneal for m in members if m.anneal}
        self.is_dro = torch.tensor([m.objective == "groupdro" for m in members], device=device)
        self.any_dro = bool(self.is_dro.any())
        self.dro_KG = torch.full((len(members), num_groups), 1 / num_groups, device=device)
        self.speed = [torch.zeros_like(heads.weight), torch.zeros_like(heads.bias)]

    def weights(self, risks_KG: Tensor, groups: Tensor | None) -> Tensor:
        """(K, G'): the derivative of each member's objective by the risks of this step's groups (None: all)."""
        if self.steps in self.resets:
            self.now = torch.where(self.anneal <= self.steps, self.penalty, 0.0)
        weights: Tensor = vrex_weights(risks_KG, self.now)
        if self.any_dro:
            seen = risks_KG if groups is None else torch.zeros_like(self.dro_KG).index_copy(1, groups, risks_KG)
            self.dro_KG = dro_weights(self.dro_KG, seen)
            dro = self.dro_KG if groups is None else self.dro_KG[:, groups]
            weights = torch.where(self.is_dro[:, None], dro, weights)
        return weights

    def move(self, by_weight: Tensor, by_bias: Tensor) -> None:
        """One step down these gradients (K * rows, D) and (K * rows,), which it overwrites."""
        if self.steps in self.resets:
            new = (self.anneal == self.steps).repeat_interleave(self.rows)
            for speed in self.speed:
                speed[new] = 0
        moved = ((self.heads.weight, by_weight, self.decay[:, None], self.rate[:, None]),
                 (self.heads.bias, by_bias, self.decay, self.rate))  # fmt: skip
        for speed, (value, gradient, decay, rate) in zip(self.speed, moved, strict=True):
            speed.mul_(MOMENTUM).add_(gradient.addcmul_(value, decay))
            value.addcmul_(speed, rate, value=-1)
        self.steps += 1


@torch.no_grad()
def train(
    data: Data, group_N: np.ndarray, num_groups: int, members: Sequence[Member], settings: GroupSettings, check: Check
) -> Heads:
    """Train every member; `check(epoch, heads)` sees them on the way, after that epoch (1 is the first).

    Args:
        group_N: (data.total,) int64 below num_groups, the group at every position; each group has a row.
    """
    heads = Heads(data, members)
    sgd = _Sgd(heads, members, num_groups)
    apart = [data.take(np.flatnonzero(group_N == g)) for g in range(num_groups)] if settings.batch is None else []
    due = {round(settings.epochs * (i + 1) / settings.checks) for i in range(settings.checks)} - {0}
    for epoch in range(1, settings.epochs + 1):
        if settings.batch is None:
            _full_step(apart, heads, sgd)
        else:
            drawn = two_groups(group_N, settings.batch, settings.seed, epoch)
            _balanced_epoch(data, drawn, settings.batch, heads, sgd)
        if epoch in due:
            check(epoch, heads)
    return heads


def _balanced_epoch(data: Data, epoch: tuple[np.ndarray, np.ndarray], batch: int, heads: Heads, sgd: _Sgd) -> None:
    positions_SB, groups_S2 = epoch
    ahead = max(1, AHEAD // batch)
    whole = len(data) == data.total
    half = batch // PER_BATCH
    share_2B = torch.eye(PER_BATCH, device=data.device).repeat_interleave(half, 1) / half
    for start in range(0, len(positions_SB), ahead):
        chosen = positions_SB[start : start + ahead]
        here = np.ones(chosen.shape, bool) if whole else np.isin(chosen, data.positions)
        rows = data.local(chosen.reshape(-1))
        x = data.read(rows) if len(rows) else torch.empty((0, data.dim), device=data.device)
        y = data.y_N[torch.from_numpy(rows).to(data.device)]
        groups = torch.from_numpy(groups_S2[start : start + ahead]).to(data.device)
        edges = np.concatenate([[0], here.sum(1).cumsum()]).tolist()
        for i, (low, high) in enumerate(pairwise(edges)):
            mine = share_2B if whole else share_2B[:, torch.from_numpy(here[i]).to(data.device)]
            _balanced_step(x[low:high], y[low:high], mine, groups[i], heads, sgd)


def _balanced_step(x_BD: Tensor, y_B: Tensor, share_2B: Tensor, groups: Tensor, heads: Heads, sgd: _Sgd) -> None:
    """share_2B: what each row adds to the mean loss of the batch's first and second group."""
    loss_BK, residual = row_losses(heads.logits(x_BD), y_B)
    weights_2K = sgd.weights(ranks.add(share_2B @ loss_BK).T, groups).T
    residual = residual.mul_((share_2B.T @ weights_2K)[..., None]).view(len(x_BD), len(heads.weight))
    sgd.move(ranks.add(residual.T @ x_BD), ranks.add(residual.sum(0)))


def _full_step(apart: Sequence[Data], heads: Heads, sgd: _Sgd) -> None:
    """Exact risks, and the gradient of each, in one pass; what they weigh is known only after it."""
    risks, gradients = [], []
    for data in apart:
        loss_K = torch.zeros(heads.count, dtype=torch.float64, device=heads.weight.device)
        by_weight, by_bias = torch.zeros_like(heads.weight), torch.zeros_like(heads.bias)
        for rows, x_BD in data.chunks():
            loss_BK, residual = row_losses(heads.logits(x_BD), data.y_N[rows])
            loss_K += loss_BK.sum(0, dtype=torch.float64)
            flat = residual.view(len(x_BD), len(heads.weight))
            by_weight.addmm_(flat.T, x_BD)
            by_bias += flat.sum(0)
        risks.append(ranks.add(loss_K) / data.total)
        gradients.append((ranks.add(by_weight), ranks.add(by_bias), data.total))
    weights_KG = sgd.weights(torch.stack(risks, 1).float(), None)
    each = weights_KG.repeat_interleave(heads.rows, 0)
    by_weight = sum(w * (each[:, g] / n)[:, None] for g, (w, _, n) in enumerate(gradients))  # type: ignore[assignment]
    by_bias = sum(b * (each[:, g] / n) for g, (_, b, n) in enumerate(gradients))  # type: ignore[assignment]
    sgd.move(by_weight, by_bias)
