"""Vectors of an episode against images of that episode, for many episodes at once, without copying the features.

faiss measures given pairs where the features lie; on other devices they are gathered.
"""

import faiss
import numpy as np
import torch


def inner_products(vectors_EVD: torch.Tensor, x_ND: torch.Tensor, rows_Em: torch.Tensor) -> torch.Tensor:
    """V . x for every vector and every one of `rows_Em` of its episode: (E, m, V) float32."""
    if x_ND.device.type != "cpu":
        return torch.bmm(x_ND[rows_Em], vectors_EVD.transpose(1, 2))
    return _by_faiss("fvec_inner_products_by_idx", vectors_EVD, x_ND, rows_Em)


def squared_distances(vectors_EVD: torch.Tensor, x_ND: torch.Tensor, rows_Em: torch.Tensor) -> torch.Tensor:
    """|v - x|^2, (E, m, V) float32."""
    if x_ND.device.type != "cpu":
        return torch.cdist(x_ND[rows_Em], vectors_EVD).square()
    return _by_faiss("fvec_L2sqr_by_idx", vectors_EVD, x_ND, rows_Em)


def _by_faiss(measure: str, vectors_EVD: torch.Tensor, x_ND: torch.Tensor, rows_Em: torch.Tensor) -> torch.Tensor:
    (count, way, dim), m = vectors_EVD.shape, rows_Em.shape[1]
    rows = rows_Em[:, None].expand(-1, way, -1).contiguous().numpy()
    vectors, x, out = vectors_EVD.contiguous().numpy(), x_ND.numpy(), np.empty((count, way, m), np.float32)
    getattr(faiss, measure)(*map(faiss.swig_ptr, (out, vectors, x, rows)), dim, count * way, m)
    return torch.from_numpy(out).transpose(1, 2)
