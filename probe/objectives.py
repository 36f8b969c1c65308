"""The objectives that heads minimise: mean loss + weight_decay/2 |W|², the bias not penalised."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from probe import ranks
from probe.data import Data


def cross_entropy(logits_NKC: Tensor, y_N: Tensor, num_classes: int | None = None) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy of K heads on the same rows, and its derivative by the logits.

    Args:
        num_classes: of all ranks, where they may share them and the logits are of this rank's.
    Returns: loss (K,) float64, and softmax - one-hot (N, K, C); it may overwrite the logits.
    """
    if num_classes is not None and ranks.classes_shared():
        return _shared_cross_entropy(logits_NKC, y_N, ranks.classes(num_classes))
    index_NK1 = y_N[:, None, None].expand(-1, logits_NKC.shape[1], 1)
    log_p_NKC = logits_NKC.log_softmax(-1)
    plain_NK1 = -log_p_NKC.gather(-1, index_NK1)
    residual_NKC = log_p_NKC.exp_()
    # what the other classes share: near 0 it keeps the digits that 1 - p and -log p lose
    residual_NKC.scatter_(-1, index_NK1, 0.0)
    others_NK1 = residual_NKC.sum(-1, keepdim=True)
    residual_NKC.scatter_(-1, index_NK1, -others_NK1)
    loss_NK1 = torch.where(others_NK1 < 0.5, -torch.log1p(-others_NK1), plain_NK1)
    return loss_NK1.sum((0, 2), dtype=torch.float64), residual_NKC


def _shared_cross_entropy(logits_NKC: Tensor, y_N: Tensor, mine: range) -> tuple[Tensor, Tensor]:
    """The same, where this rank has the logits of `mine` classes; every rank gets the whole loss."""
    index_NK1 = (y_N - mine.start).clamp(0, len(mine) - 1)[:, None, None].expand(-1, logits_NKC.shape[1], 1)
    here_NK1 = ((y_N >= mine.start) & (y_N < mine.stop))[:, None, None].expand_as(index_NK1)
    residual_NKC = logits_NKC.sub_(ranks.most_classes(logits_NKC.amax(-1, keepdim=True)))
    right_NK1 = ranks.add_classes(torch.where(here_NK1, residual_NKC.gather(-1, index_NK1), 0.0))
    residual_NKC.exp_()
    residual_NKC.scatter_(-1, index_NK1, torch.where(here_NK1, 0.0, residual_NKC.gather(-1, index_NK1)))
    others_NK1 = ranks.add_classes(residual_NKC.sum(-1, keepdim=True))
    total_NK1 = others_NK1 + right_NK1.exp()
    residual_NKC.div_(total_NK1)
    others_NK1.div_(total_NK1)
    residual_NKC.scatter_(-1, index_NK1, torch.where(here_NK1, -others_NK1, residual_NKC.gather(-1, index_NK1)))
    loss_NK1 = torch.where(others_NK1 < 0.5, -torch.log1p(-others_NK1), total_NK1.log() - right_NK1)
    return loss_NK1.sum((0, 2), dtype=torch.float64), residual_NKC


def softmax_pass(
    data: Data, theta_KCd: Tensor, weight_decay_K: Tensor, logits_NC: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Objective and gradient of K multinomial logistic regressions in one pass over the features.

    Args:
        theta_KCd: weights (K, C, D) of this rank's classes, with the bias as column D: d = D + 1; float32.
        weight_decay_K: λ of each, float64.
        logits_NC: where K = 1, filled with the logits of this rank's rows.
    Returns: objectives (K,) float64 and gradients (K, C, d), summed over ranks.
    """
    K, C, d = theta_KCd.shape
    weight = theta_KCd[..., :-1].reshape(K * C, d - 1)
    bias = theta_KCd[..., -1].reshape(K * C)
    whole = data.prepare.moderate  # standardising moves into the weights: stored features are read as they are
    if whole is not None:
        weight = weight * whole.scale
        bias = bias - weight @ whole.mean
    loss_K = torch.zeros(K, dtype=torch.float64, device=data.device)
    grad_weight, grad_bias = torch.zeros_like(weight), torch.zeros_like(bias)
    chunks = data.chunks() if whole is None and not data.prepare.nothing else data.raw_chunks()
    for rows, part in chunks:
        x_BD = part.float()
        logits = torch.addmm(bias, x_BD, weight.T)
        if logits_NC is not None:
            logits_NC[rows] = logits
        loss, residual = cross_entropy(logits.view(-1, K, C), data.y_N[rows], data.num_classes)
        loss_K += loss
        grad_weight.addmm_(residual.view(-1, K * C).T, x_BD)
        grad_bias += residual.view(-1, K * C).sum(0)
    if whole is not None:
        grad_weight = grad_weight.addr_(grad_bias, whole.mean, alpha=-1).mul_(whole.scale)
    loss_K = ranks.add(loss_K)
    gradient = ranks.add(torch.cat([grad_weight, grad_bias[:, None]], 1)).view(K, C, d)
    total = data.total
    penalty_K = ranks.add_classes(theta_KCd[..., :-1].square().sum((1, 2), dtype=torch.float64)) / 2
    gradient.div_(total)
    gradient[..., :-1] += weight_decay_K.to(gradient.dtype)[:, None, None] * theta_KCd[..., :-1]
    return loss_K / total + weight_decay_K * penalty_K, gradient


def row_losses(logits: Tensor, y_B: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each row (B, K), and its derivative by what SGD moves (B, K, rows): the two rows of a
    difference move against each other, hence twice the derivative by the difference.
    """
    if logits.shape[-1] == 1:
        sign_B1 = (2 * y_B - 1).to(logits.dtype)[:, None]
        z = logits[..., 0] * sign_B1
        return softplus(-z), (torch.sigmoid(-z) * (-2 * sign_B1))[..., None]
    index = y_B[:, None, None].expand(-1, logits.shape[1], 1)
    lse = logits.logsumexp(-1, keepdim=True)
    loss = (lse - logits.gather(-1, index))[..., 0]
    residual = (logits - lse).exp_()
    return loss, residual.scatter_add_(-1, index, -torch.ones_like(residual[..., :1]))
