"""The nearest class mean, as a linear head: -|x - m|²/2 = m'x - |m|²/2 + a constant."""

import torch

from probe import ranks
from probe.data import Data
from probe.heads import LinearHead
from probe.solvers import Fit, Settings

NEVER = -1e30
"""The bias of a class without a training sample: it has no mean, and is never the nearest."""


def fit(data: Data, settings: Settings) -> list[Fit]:  # noqa: ARG001
    """One head; no settings. Source: Mensink et al., "Distance-based image classification" (2013), NCM."""
    sums_CD = torch.zeros((data.num_classes, data.dim), dtype=torch.float64, device=data.device)
    for rows, x_BD in data.chunks():
        sums_CD.index_add_(0, data.y_N[rows], x_BD.double())
    counts_C = torch.bincount(data.y_N, minlength=data.num_classes).double()
    sums_CD, counts_C = ranks.add(sums_CD), ranks.add(counts_C)
    means_CD = sums_CD / counts_C.clamp_min(1)[:, None]
    bias_C = torch.where(counts_C > 0, -means_CD.square().sum(1) / 2, NEVER)
    return [Fit(head=LinearHead(means_CD.float(), bias_C.float()))]
