"""Classifiers that weigh every support image: k nearest neighbours, and matching networks' attention."""

import torch

from fewshot.chunk import Chunk
from store.errors import BadValue

SHARPNESS = 100
"""Of the attention: wyharveychen/CloserLookFewShot methods/matchingnet.py."""


def knn(chunk: Chunk) -> torch.Tensor:
    """Votes of the k nearest support images (Euclidean); ties go to the class with the nearest image. (E, m, W)."""
    k, n = chunk.settings.neighbours, chunk.support_En.shape[1]
    if k > n:
        raise BadValue(f"--neighbours {k}: an episode has only {n} support images")
    squares_N = chunk.features.x_ND.square().sum(1)
    distance_Emn = squares_N[chunk.support_En][:, None] - 2 * chunk.cross_Emn + squares_N[chunk.query_Em][:, :, None]
    votes_EmW = chunk.truth_nW[distance_Emn.topk(k, largest=False).indices].sum(2)
    nearest_EmW = distance_Emn.view(*distance_Emn.shape[:2], chunk.way, chunk.shot).amin(3)
    rank_EmW = nearest_EmW.argsort(dim=2).argsort(dim=2)
    return torch.sub(votes_EmW, rank_EmW / (chunk.way + 1))


def matching(chunk: Chunk) -> torch.Tensor:
    """Log of the classes' share of softmax(100 relu(cos)) over the support images, (E, m, W).

    The rule of matching networks (Vinyals et al. 2016) without their trained context. Raises `BadValue`: a feature is
    zero.
    """
    norms_N = chunk.features.norms_N
    lengths_Emn = norms_N[chunk.query_Em][:, :, None] * norms_N[chunk.support_En][:, None]
    attention_Emn = torch.softmax(SHARPNESS * torch.relu(chunk.cross_Emn / lengths_Emn), dim=2)
    return torch.log(attention_Emn @ chunk.truth_nW + 1e-6)
