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

WIDE = 8
"""Below so many classes a pass is limited by reading its rows, and bfloat16 saved nothing."""
SHARE = 4
"""Logits of the reference may take this part of the features' memory."""


def _pays(data: Data) -> bool:
    """Whether every rank holds its features, has memory for the reference's logits, and multiplies faster."""
    kept = SHARE * 4 * len(data) * data.num_classes
    fits = kept <= sum(len(rows) * source.shape[1] * source.dtype.itemsize for source, rows in data.pieces)
    fits = fits and data.num_classes >= WIDE and not data.streamed
    return ranks.agree(fits) and faster(data.device, data.chunk_rows, data.dim, data.num_classes)


class Passes:
    """Passes over the features for one run of `lbfgs` at a time: points and gradients are (C * d,) float32, d = D + 1,
    C the classes of this rank.

    Attributes:
        reduced: whether passes near a reference are in bfloat16; all ranks agree on it.
    """

    def __init__(self, data: Data, precision: str) -> None:
        self.data, self.C, self.d = data, len(ranks.classes(data.num_classes)), data.dim + 1
        self.reduced = precision == "bfloat16" or (precision == "auto" and _pays(data))
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
        by_weight, by_bias = torch.zeros_like(change[:, :-1]).contiguous(), torch.zeros_like(bias_C)
        for rows, x in self.data.raw_chunks() if self.data.prepare.nothing else self.data.chunks():
            x_BD, y = x.float().bfloat16(), self.data.y_N[rows]  # float16 to bfloat16 at once is ten times slower
            before = self._logits_NC[rows, None]
            after = torch.mm(x_BD, low_CD.T).float().add_(bias_C)[:, None].add_(before)
            part, residual = cross_entropy(after, y, self.data.num_classes)
            loss += part
            moved = residual.sub_(cross_entropy(before.clone(), y, self.data.num_classes)[1])[:, 0]
            by_weight += torch.mm(moved.bfloat16().T, x_BD).float()
            by_bias += moved.sum(0)
        total = self.data.total
        gradient = ranks.add(torch.cat([by_weight, by_bias[:, None]], 1)).div_(total)
        gradient.add_(self._gradient.view(self.C, self.d))
        weight = theta.view(self.C, self.d)[:, :-1]
        gradient[:, :-1].add_(weight, alpha=weight_decay)
        penalty = weight_decay / 2 * float(ranks.add_classes(weight.square().sum(dtype=torch.float64)))
        return float(ranks.add(loss)) / total + penalty, gradient.view(-1)
