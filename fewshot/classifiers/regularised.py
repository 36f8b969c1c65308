"""Heads that minimise a penalised loss over the support set: ridge in closed form, logistic by L-BFGS.

Features have length 1 here, so that one weight decay suits every backbone (Tian et al. 2020). The minimum lies in the
span of the support features: with the Gram matrix R R^T = G the n rows of R stand for the images.
"""

import torch

from fewshot.chunk import Chunk
from fewshot.lbfgs import minimise


def ridge(chunk: Chunk) -> torch.Tensor:
    """Minimises 1 / (2 n) sum |W x + b - t|^2 + weight_decay / 2 |W|^2, t = +-1 one against all. (E, m, W).

    Raises: BadValue: a feature is zero.
    """
    n = chunk.support_En.shape[1]
    gram_Enn, targets_nW = _gram(chunk).double(), 2 * chunk.truth_nW.double() - 1
    centred_Enn = gram_Enn - gram_Enn.mean(1, keepdim=True)
    centred_Enn = centred_Enn - centred_Enn.mean(2, keepdim=True)
    centred_Enn.diagonal(dim1=1, dim2=2).add_(n * _weight_decay(chunk))
    mean_W = targets_nW.mean(0)
    alpha_EnW = torch.linalg.solve(centred_Enn, (targets_nW - mean_W).expand(len(gram_Enn), -1, -1))
    alpha_EnW = alpha_EnW - alpha_EnW.mean(1, keepdim=True)
    bias_EW = mean_W - gram_Enn.mean(1, keepdim=True).matmul(alpha_EnW)[:, 0]
    return _logits(chunk, alpha_EnW, bias_EW)


def logistic(chunk: Chunk) -> torch.Tensor:
    """Minimises the mean cross-entropy + weight_decay / 2 |W|^2 to convergence; the bias is free. (E, m, W).

    Raises: BadValue: a feature is zero.
    """
    values_En, vectors_Enn = torch.linalg.eigh(_gram(chunk).double())
    roots_En = values_En.clamp_min(values_En[:, -1:] * 1e-10).sqrt()
    rows_Enn = vectors_Enn * roots_En[:, None]
    truth_nW, weight_decay = chunk.truth_nW.double(), _weight_decay(chunk)
    count, n, way = len(rows_Enn), *truth_nW.shape

    def loss(flat_Ep: torch.Tensor, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        all_EnW = flat_Ep.view(-1, n + 1, way)
        head_EnW, bias_E1W = all_EnW[:, :n], all_EnW[:, n:]
        rows_Enn_ = rows_Enn[which]
        logits_EnW = rows_Enn_ @ head_EnW + bias_E1W
        value_E = -(torch.log_softmax(logits_EnW, 2) * truth_nW).sum((1, 2)) / n
        value_E = value_E + weight_decay / 2 * head_EnW.square().sum((1, 2))
        error_EnW = (torch.softmax(logits_EnW, 2) - truth_nW) / n
        gradient_EnW = rows_Enn_.transpose(1, 2) @ error_EnW + weight_decay * head_EnW
        return value_E, torch.cat([gradient_EnW, error_EnW.sum(1, keepdim=True)], dim=1).flatten(1)

    found_EnW = minimise(loss, rows_Enn.new_zeros(count, (n + 1) * way)).view(count, n + 1, way)
    return _logits(chunk, (vectors_Enn / roots_En[:, None]) @ found_EnW[:, :n], found_EnW[:, n])


def _weight_decay(chunk: Chunk) -> float:
    return chunk.settings.weight_decay or 1 / chunk.support_En.shape[1]


def _gram(chunk: Chunk) -> torch.Tensor:
    """Of the support images at length 1."""
    lengths_En = chunk.features.norms_N[chunk.support_En]
    return chunk.gram_Enn / (lengths_En[:, :, None] * lengths_En[:, None])


def _logits(chunk: Chunk, alpha_EnW: torch.Tensor, bias_EW: torch.Tensor) -> torch.Tensor:
    norms_N = chunk.features.norms_N
    coefficients_EWn = alpha_EnW.transpose(1, 2).float() / norms_N[chunk.support_En][:, None]
    logits_EmW = chunk.head_logits(coefficients_EWn) / norms_N[chunk.query_Em][:, :, None]
    return logits_EmW + bias_EW.float()[:, None]
