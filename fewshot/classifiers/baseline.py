"""Baseline and Baseline++ of Chen et al. 2019: a head trained by SGD on the support images of each episode.

Source: wyharveychen/CloserLookFewShot methods/baselinefinetune.py, and distLinear in its backbone.py.
"""

import torch

from fewshot.chunk import Chunk
from fewshot.descent import LinearRule, WeightNormRule, descend

EPSILON = 1e-5
"""Added to |x| before it divides, as upstream does."""


def baseline(chunk: Chunk) -> torch.Tensor:
    """Logits of a linear head with a bias, (E, m, W)."""
    n, bias_EW = chunk.support_En.shape[1], chunk.start.bias_EW
    # the bias is the weight of a feature that is 1 for every image
    gram_EnK = torch.cat([chunk.gram_Enn + 1, chunk.start_EnW + bias_EW[:, None]], dim=2)
    coordinates_EKW = descend(gram_EnK, chunk.labels_n, chunk.start.orders_ETn, LinearRule())
    support_EWn, start_EW = coordinates_EKW[:, :n].transpose(1, 2), coordinates_EKW[:, n:].diagonal(dim1=1, dim2=2)
    bias_EW = support_EWn.sum(2) + start_EW * bias_EW
    return chunk.head_logits(support_EWn, start_EW) + bias_EW[:, None]


def baseline_plus_plus(chunk: Chunk) -> torch.Tensor:
    """Logits scale g_c (v_c . x) / (|v_c| |x|), (E, m, W). Raises `BadValue`: a feature is zero."""
    n, norms_N = chunk.support_En.shape[1], chunk.features.norms_N + EPSILON
    lengths_En = norms_N[chunk.support_En]
    gram_Enn = chunk.gram_Enn / (lengths_En[:, :, None] * lengths_En[:, None])
    gram_EnK = torch.cat([gram_Enn, chunk.start_EnW / lengths_En[:, :, None]], dim=2)
    rule = WeightNormRule(chunk.start.weights_EWD.square().sum(2).t().contiguous(), scale=2 if chunk.way <= 200 else 10)
    coordinates_EKW = descend(gram_EnK, chunk.labels_n, chunk.start.orders_ETn, rule)
    support_EWn, start_EW = coordinates_EKW[:, :n].transpose(1, 2), coordinates_EKW[:, n:].diagonal(dim1=1, dim2=2)
    logits_EmW = chunk.head_logits(support_EWn / lengths_En[:, None], start_EW) * rule.gain_CE.t()[:, None]
    return torch.div(logits_EmW, norms_N[chunk.query_Em][:, :, None])
