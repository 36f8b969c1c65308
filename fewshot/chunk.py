"""Some episodes together with their features: what a classifier is given."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch.nn.functional import embedding_bag

from fewshot.config import Settings
from fewshot.distances import inner_products
from fewshot.starts import Start, draw_start
from store.errors import BadValue

GATHER_BYTES = 1 << 22
"""Features that are copied together at a time, a few times the cache of one core."""


@dataclass(frozen=True, eq=False)
class Features:
    """The features (N, D) float32 of the pool rows that the episodes use."""

    name: str
    rows_N: np.ndarray
    """Ascending pool rows."""
    x_ND: torch.Tensor
    sample: Callable[[int], str]
    """The name of a pool row, for error texts."""

    @cached_property
    def _place(self) -> np.ndarray:
        place = np.zeros(int(self.rows_N[-1]) + 1, np.int64)
        place[self.rows_N] = np.arange(len(self.rows_N))
        return place

    def number(self, rows: np.ndarray) -> np.ndarray:
        """Where pool rows lie in `x_ND`."""
        found: np.ndarray = self._place[rows]
        return found

    @cached_property
    def norms_N(self) -> torch.Tensor:
        """|x|. Raises `BadValue`: a zero vector has no direction."""
        norms_N: torch.Tensor = torch.linalg.vector_norm(self.x_ND, dim=1)
        if (zero := torch.nonzero(norms_N == 0).flatten()).numel():
            raise BadValue(
                f"{len(zero)} of {len(norms_N)} features of {self.name} are zero vectors, which have no cosine; the "
                f"first is {self.sample(int(self.rows_N[int(zero[0])]))}. Use nearest, protonet, knn or baseline "
                "without --transform, or extract these features again"
            )
        return norms_N

    @cached_property
    def normalised_ND(self) -> torch.Tensor:
        """Rows of length 1."""
        return torch.div(self.x_ND, self.norms_N[:, None])


@dataclass(frozen=True, eq=False)
class Chunk:
    """E episodes of one shape: W classes, n = W * S support and m = W * Q query images, one class after the other."""

    features: Features
    support_En: torch.Tensor
    """Rows of `features`, int64."""
    query_Em: torch.Tensor
    way: int
    number_E: np.ndarray
    """The episodes' numbers: with the seed they decide the initial weights and batch orders."""
    settings: Settings

    @property
    def shot(self) -> int:
        return self.support_En.shape[1] // self.way

    @cached_property
    def labels_n(self) -> torch.Tensor:
        """The class within its episode of each support image."""
        return torch.arange(self.way, device=self.support_En.device).repeat_interleave(self.shot)

    @cached_property
    def truth_nW(self) -> torch.Tensor:
        """1 where the image is of the class, float32."""
        return torch.eye(self.way, device=self.support_En.device)[self.labels_n]

    @cached_property
    def start(self) -> Start:
        """Initial weights and batch orders for the classifiers that train by SGD."""
        dim, support = self.features.x_ND.shape[1], self.support_En.shape[1]
        drawn = draw_start(self.settings.seed, self.number_E, self.way, support, dim)
        return drawn.to(self.support_En.device)

    @cached_property
    def gram_Enn(self) -> torch.Tensor:
        """Inner products of the support images with each other."""
        return self._products(self.support_En)

    @cached_property
    def cross_Emn(self) -> torch.Tensor:
        """Inner products of query and support images."""
        return self._products(self.query_Em)

    @cached_property
    def start_EnW(self) -> torch.Tensor:
        """Inner products of the support images with the initial weights."""
        return inner_products(self.start.weights_EWD, self.features.x_ND, self.support_En)

    def _products(self, rows_Em: torch.Tensor) -> torch.Tensor:
        x_ND, support_En = self.features.x_ND, self.support_En
        gram_Emn = x_ND.new_empty(*rows_Em.shape, support_En.shape[1])
        step = max(1, GATHER_BYTES // (4 * rows_Em.shape[1] * x_ND.shape[1]))
        for i in range(0, len(rows_Em), step):
            part = slice(i, i + step)
            x_EnD = x_ND[support_En[part]]
            x_EmD = x_EnD if rows_Em is support_En else x_ND[rows_Em[part]]
            torch.bmm(x_EmD, x_EnD.transpose(1, 2), out=gram_Emn[part])
        return gram_Emn

    def head_logits(self, coefficients_EWn: torch.Tensor, start_EW: torch.Tensor | None = None) -> torch.Tensor:
        """X . w_c of every query image, (E, m, W), for heads w_c = sum_i coefficient_ci x_i + start_c * initial w_c."""
        rows_Mn = self.support_En.repeat_interleave(self.way, dim=0)
        weights_Mn = coefficients_EWn.reshape(rows_Mn.shape)
        heads_MD = embedding_bag(rows_Mn, self.features.x_ND, mode="sum", per_sample_weights=weights_Mn)
        heads_EWD = heads_MD.view(len(self.support_En), self.way, -1)
        if start_EW is not None:
            heads_EWD.addcmul_(start_EW[:, :, None], self.start.weights_EWD)
        return inner_products(heads_EWD, self.features.x_ND, self.query_Em)
