"""Members of the grid of group objectives, and their heads as rows of one matrix."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from probe.data import Data
from probe.solvers.wide import START_STD


class Member(NamedTuple):
    objective: str
    lr: float
    weight_decay: float
    penalty: float
    """Of vrex; else 0."""
    anneal: int
    """Steps before the penalty counts."""
    seed: int
    """Of the start."""


def members_of(
    objectives: Sequence[str], lr: Sequence[float], weight_decay: Sequence[float], penalty: Sequence[float],
    anneal: Sequence[int], seeds: Sequence[int],
) -> list[Member]:  # fmt: skip
    """The grid. Penalty and anneal are of vrex alone; a penalty of 0 is annealed once."""
    found: list[Member] = []
    for name, rate, decay in product(objectives, lr, weight_decay):
        pairs = [(p, a) for p in penalty for a in (anneal if p else anneal[:1])] if name == "vrex" else [(0.0, 0)]
        found += [Member(name, rate, decay, p, a, seed) for p, a in pairs for seed in seeds]
    return found


class Heads:
    """K linear heads as rows of one matrix. Of two classes only the difference of their rows is kept: it sees all of
    the gradient, and the sum only decays.
    """

    def __init__(self, data: Data, members: Sequence[Member]) -> None:
        self.num_classes, self.count = data.num_classes, len(members)
        self.rows = 1 if data.num_classes == 2 else data.num_classes
        starts = []
        for member in members:
            generator = torch.Generator().manual_seed(member.seed)
            weight_CD = torch.randn(data.num_classes, data.dim, generator=generator) * START_STD
            starts.append(weight_CD[1:] - weight_CD[:1] if self.rows == 1 else weight_CD)
        self.weight = torch.cat(starts).to(data.device)
        """(K * rows, D)"""
        self.bias = torch.zeros(len(self.weight), device=data.device)

    def logits(self, x_BD: Tensor) -> Tensor:
        """Of x (B, D): (B, K, rows)."""
        return torch.addmm(self.bias, x_BD, self.weight.T).view(len(x_BD), self.count, self.rows)

    def chosen_class(self, x_BD: Tensor) -> Tensor:
        """Of x (B, D): (B, K) int64."""
        logits = self.logits(x_BD)
        return (logits[..., 0] > 0).long() if self.rows == 1 else logits.argmax(-1)

    def head(self, k: int) -> tuple[Tensor, Tensor]:
        """Weight (C, D) and bias (C,) of one member; copies."""
        weight, bias = (t.view(self.count, self.rows, -1)[k] for t in (self.weight, self.bias))
        if self.rows == 1:
            weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
        return weight.clone(), bias[:, 0].clone()
