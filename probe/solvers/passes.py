"""Objective and gradient of one logistic regression, in float32 or, near a point that is known, mostly in bfloat16.

What bfloat16 rounds is only the change since the reference, a point whose logits and gradient are known in float32:
logits are z₀ + X (θ - θ₀)', the gradient is g₀ + (r - r₀)' X / N, r being softmax - one-hot. The error shrinks with the
step, so that iterations converge as in float32, and a float32 pass at the end is both the certificate and the next
reference. This is iterative refinement (Wilkinson, 1963) of a gradient.
"""

import torch
from torch import Tensor

from probe import ranks
from probe.data import Data
from probe.objectives import cross_entropy, softmax_pass
from probe.precision import faster

SHARE = 4
"""Logits of the reference may take this part of the features' memory."""


class Passes:
    """Passes over the features for one run of `lbfgs` at a time: points and gradients are (C * d,) float32, d = D + 1.

    Attributes:
        reduced: whether passes near a reference are in bfloat16; all ranks agree on it.
    """

    def __init__(self, data: Data, precision: str) -> None:
        self.data, self.C, self.d = data, data.num_classes, data.dim + 1
        kept = 4 * len(data) * self.C * SHARE
        fits = kept <= sum(len(rows) * source.shape[1] * source.dtype.itemsize for source, rows in data.pieces)
        wanted = precision == "bfloat16" or (precision == "auto" and fits and not data.streamed and faster(data.device))
        votes = ranks.add(torch.tensor([float(wanted)], device=data.device))
        self.reduced = float(votes) == ranks.count()
        self._logits_NC = torch.empty((len(data), self.C), device=data.device) if self.reduced else None
        self._theta = self._gradient = torch.empty(0)

    @property
    def has_reference(self) -> bool:
        return len(self._theta) > 0

    def exact(self, theta: Tensor, weight_decay: float) -> tuple[float, Tensor]:
        """Objective and gradient in float32; where passes are reduced, the point becomes the reference."""
        decay = torch.tensor([weight_decay], dtype=torch.float64, device=theta.device)
        objective, gradient = softmax_pass(self.data, theta.view(1, self.C, self.d), decay, self._logits_NC)
        if self.reduced:
            self._theta, self._gradient = theta, gradient.clone()
            self._gradient[0, :, :-1].sub_(theta.view(self.C, self.d)[:, :-1], alpha=weight_decay)
        return float(objective), gradient.view(-1)

    def near(self, theta: Tensor, weight_decay: float) -> tuple[float, Tensor]:
        """Objective and gradient by bfloat16 products of what changed since the reference."""
        assert self._logits_NC is not None
        change = (theta - self._theta).view(self.C, self.d)
        low_CD, bias_C = change[:, :-1].bfloat16(), change[:, -1]
        loss = torch.zeros(1, dtype=torch.float64, device=theta.device)
        by_change = torch.zeros((self.C, self.d), device=theta.device)
        for rows, x in self.data.chunks():
            x_BD, y = x.bfloat16(), self.data.y_N[rows]
            before = self._logits_NC[rows, None]
            after = torch.mm(x_BD, low_CD.T).float().add_(bias_C)[:, None].add_(before)
            part, residual = cross_entropy(after, y)
            loss += part
            moved = residual.sub_(cross_entropy(before.clone(), y)[1])[:, 0]
            by_change[:, :-1] += torch.mm(moved.bfloat16().T, x_BD)
            by_change[:, -1] += moved.sum(0)
        total = self.data.total
        gradient = ranks.add(by_change).div_(total).add_(self._gradient.view(self.C, self.d))
        weight = theta.view(self.C, self.d)[:, :-1]
        gradient[:, :-1].add_(weight, alpha=weight_decay)
        penalty = weight_decay / 2 * float(weight.square().sum(dtype=torch.float64))
        return float(ranks.add(loss)) / total + penalty, gradient.view(-1)
