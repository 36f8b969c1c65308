"""Some episodes together with their features: what a classifier is given."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from store.errors import BadValue


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
    def normalised_ND(self) -> torch.Tensor:
        """Rows of length 1. Raises `BadValue`: a zero vector has no direction."""
        norms_N = self.x_ND.norm(dim=1)
        if (zero := torch.nonzero(norms_N == 0).flatten()).numel():
            raise BadValue(
                f"{len(zero)} of {len(norms_N)} features of {self.name} are zero vectors, which have no cosine; the "
                f"first is {self.sample(int(self.rows_N[int(zero[0])]))}. Use --classifier nearest, or extract it again"
            )
        return torch.div(self.x_ND, norms_N[:, None])


@dataclass(frozen=True, eq=False)
class Chunk:
    """E episodes of one shape; rows number `features.x_ND`."""

    features: Features
    support_EWS: torch.Tensor
    query_EWQ: torch.Tensor

    @property
    def x_ND(self) -> torch.Tensor:
        return self.features.x_ND

    @property
    def normalised_ND(self) -> torch.Tensor:
        return self.features.normalised_ND
