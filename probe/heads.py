"""Heads: functions from features (n, D) to logits (n, C)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear, normalize


@dataclass(frozen=True)
class LinearHead:
    weight: Tensor
    """(C, D)"""
    bias: Tensor
    """(C,)"""

    def __call__(self, x_ND: Tensor) -> Tensor:
        return linear(x_ND, self.weight, self.bias)

    @property
    def num_parameters(self) -> int:
        return self.weight.numel() + self.bias.numel()

    def silent(self) -> "LinearHead":
        """All logits 0."""
        return LinearHead(torch.zeros_like(self.weight), torch.zeros_like(self.bias))


@dataclass(frozen=True)
class CosineHead:
    """scale * |w_c| cos(x, w_c). Source: Chen et al., "A closer look at few-shot classification" (2019), distLinear."""

    weight: Tensor
    """(C, D)"""
    scale: float

    def __call__(self, x_ND: Tensor) -> Tensor:
        return self.scale * linear(normalize(x_ND, dim=1), self.weight)

    @property
    def num_parameters(self) -> int:
        return self.weight.numel()

    def silent(self) -> "CosineHead":
        """All logits 0."""
        return CosineHead(torch.zeros_like(self.weight), self.scale)


@dataclass(frozen=True)
class MeanHead:
    """Separate heads on the blocks of a concatenation, averaged: the cat^sub of the paper."""

    heads: tuple[LinearHead, ...]
    columns: tuple[tuple[int, int], ...]
    """Columns of x that each head sees."""
    of: str = "logits"
    """logits: their mean; probabilities: the logarithm of the mean of the softmaxes."""

    def __call__(self, x_ND: Tensor) -> Tensor:
        logits = torch.stack([head(x_ND[:, a:b]) for head, (a, b) in zip(self.heads, self.columns, strict=True)])
        if self.of == "logits":
            return logits.mean(0)
        return logits.log_softmax(-1).logsumexp(0) - torch.log(torch.tensor(float(len(logits))))

    @property
    def num_parameters(self) -> int:
        return sum(head.num_parameters for head in self.heads)
