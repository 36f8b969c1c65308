"""The nearest class mean. faiss measures the distances in place: no query feature is copied."""

from collections.abc import Callable

import faiss
import numpy as np
import torch
from torch.nn.functional import embedding_bag, normalize

from fewshot.chunk import Chunk


def euclidean(chunk: Chunk) -> torch.Tensor:
    """Scores -||q - m_c||^2, (E, W * Q, W) float32."""
    measure = faiss.fvec_L2sqr_by_idx  # type: ignore[attr-defined]
    return -_to_means(measure, chunk, chunk.x_ND, _means(chunk, chunk.x_ND))


def cosine(chunk: Chunk) -> torch.Tensor:
    """Scores cos(q, m_c), m_c the mean of the normalised support features. Raises `BadValue`: a feature is zero."""
    x_ND, measure = chunk.normalised_ND, faiss.fvec_inner_products_by_idx  # type: ignore[attr-defined]
    return _to_means(measure, chunk, x_ND, normalize(_means(chunk, x_ND), dim=-1))


def _means(chunk: Chunk, x_ND: torch.Tensor) -> torch.Tensor:
    return embedding_bag(chunk.support_EWS.flatten(0, 1), x_ND, mode="mean")


def _to_means(measure: Callable[..., None], chunk: Chunk, x_ND: torch.Tensor, means_MD: torch.Tensor) -> torch.Tensor:
    """`measure` each query image of an episode against each of its class means."""
    count, way, query = chunk.query_EWQ.shape
    rows_MQ = chunk.query_EWQ.reshape(count, 1, way * query).expand(-1, way, -1).contiguous()
    out_MQ = np.empty((count * way, way * query), np.float32)
    x, means, rows = x_ND.numpy(), means_MD.numpy(), rows_MQ.numpy()
    pointers = map(faiss.swig_ptr, (out_MQ, means, x, rows))
    measure(*pointers, x.shape[1], count * way, way * query)
    return torch.from_numpy(out_MQ).reshape(count, way, way * query).transpose(1, 2)
