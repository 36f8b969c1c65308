"""k nearest neighbours by cosine similarity, votes weighted by exp(similarity / temperature).

Source: Wu et al., "Unsupervised feature learning via non-parametric instance discrimination" (2018), section 3.4.
"""

from dataclasses import dataclass, field

import faiss
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from probe import ranks
from probe.data import Data
from probe.solvers import Fit, Settings
from store.errors import BadValue

ROWS = 16384
"""Training rows searched at once; the best k of each part are merged."""


@dataclass
class Neighbours:
    """Exact search over the training rows, by faiss; one search serves every k."""

    data: Data
    most: int
    """The largest k"""
    _last: tuple[Tensor, Tensor, Tensor] | None = field(default=None, repr=False)

    def search(self, x_BD: Tensor) -> tuple[Tensor, Tensor]:
        """Similarities and classes (B, most) of the nearest rows, the nearest first."""
        if self._last is not None and self._last[0] is x_BD:
            return self._last[1:]
        query = normalize(x_BD, dim=1).cpu().numpy()
        near = np.full((len(query), 0), 0, np.float32)
        classes = np.empty((len(query), 0), np.int64)
        y_N = self.data.y_N.cpu().numpy()
        for rows, x in self.data.chunks(ROWS):
            part, index = faiss.knn(
                query, normalize(x, dim=1).cpu().numpy(), min(self.most, len(x)), metric=faiss.METRIC_INNER_PRODUCT
            )
            near, classes = np.hstack([near, part]), np.hstack([classes, y_N[rows][index]])
            order = np.argsort(-near, axis=1, kind="stable")[:, : self.most]
            near, classes = np.take_along_axis(near, order, 1), np.take_along_axis(classes, order, 1)
        self._last = (x_BD, torch.from_numpy(near), torch.from_numpy(classes))
        return self._last[1:]


@dataclass(frozen=True)
class KnnHead:
    """Logits are the logarithms of the weighted votes: their softmax is the share of the votes.

    A class without a vote has minus infinity: it is not among the most probable however few have votes.
    """

    neighbours: Neighbours
    k: int
    temperature: float

    def __call__(self, x_BD: Tensor) -> Tensor:
        near, classes = self.neighbours.search(x_BD)
        weight = ((near[:, : self.k] - near[:, :1]).double() / self.temperature).exp()  # the nearest has 1, however far
        votes = torch.zeros((len(near), self.neighbours.data.num_classes), dtype=torch.float64)
        votes.scatter_add_(1, classes[:, : self.k], weight)
        return votes.log().float().to(x_BD.device)

    @property
    def num_parameters(self) -> int:
        return 0


def fit(data: Data, settings: Settings) -> list[Fit]:
    """One Fit per k; the head keeps the training rows, and no weight. Raises `BadValue`: k out of range, or ranks."""
    if ranks.count() > 1:
        raise BadValue("--solver knn works in one process: run it without torchrun")
    if min(settings.k) < 1 or settings.temperature <= 0:
        raise BadValue(f"--k {min(settings.k)}, --temperature {settings.temperature:g}: both must be above 0")
    neighbours = Neighbours(data, min(max(settings.k), len(data)))
    return [Fit(head=KnnHead(neighbours, k, settings.temperature), extra={"k": k}) for k in settings.k]
