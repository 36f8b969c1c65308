"""The nearest class mean, and the inference rules that are built on it."""

import torch
from torch.nn.functional import embedding_bag, normalize

from fewshot.chunk import Chunk
from fewshot.distances import inner_products, squared_distances


def euclidean(chunk: Chunk) -> torch.Tensor:
    """Scores -|q - mean_c|^2, (E, m, W); their softmax is the rule of prototypical networks (Snell et al. 2017)."""
    x_ND = chunk.features.x_ND
    return -squared_distances(_means(chunk, x_ND), x_ND, chunk.query_Em)


def cosine(chunk: Chunk) -> torch.Tensor:
    """Scores cos(q, mean_c) with the mean of normalised support features. Raises `BadValue`: a feature is zero."""
    x_ND = chunk.features.normalised_ND
    return inner_products(normalize(_means(chunk, x_ND), dim=2), x_ND, chunk.query_Em)


def _means(chunk: Chunk, x_ND: torch.Tensor) -> torch.Tensor:
    rows_MS = chunk.support_En.reshape(-1, chunk.shot)
    means_MD: torch.Tensor = embedding_bag(rows_MS, x_ND, mode="mean")
    return means_MD.view(len(chunk.support_En), chunk.way, -1)
