"""Symmetric systems (A + λ I) X = B for many λ: A is made banded once, after which every λ costs next to nothing.

Source: Bischof, Lang and Sun, "A framework for symmetric band reduction" (2000), section 2; reflectors in the compact
form of Schreiber and Van Loan (1989). All large products are matrix times matrix, unlike a tridiagonal reduction's.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

WIDTH = 64
"""Columns of a panel, which is the bandwidth that is left."""
RIGHT = 1024
"""Right-hand sides, over all λ, that are solved at once."""


@dataclass(frozen=True)
class Reflector:
    """Q = I - V T V' on the rows from `first` on."""

    first: int
    v: Tensor
    """(n - first, w)"""
    t: Tensor
    """(w, w) upper triangular"""

    def apply(self, x_nC: Tensor, *, transposed: bool) -> None:
        """Overwrite x with Q x, or with Q' x."""
        part = x_nC[self.first :]
        part.addmm_(self.v, (self.t.T if transposed else self.t) @ (self.v.T @ part), alpha=-1)


class Band:
    """A = Q (band) Q', in about 2 n³ operations of `a_nn`'s precision. Memory: n²/2 for Q, beside `a_nn` itself.

    Args:
        a_nn: symmetric; overwritten.
    """

    def __init__(self, a_nn: Tensor) -> None:
        n = len(a_nn)
        self.reflectors = [_reduce(a_nn, low) for low in range(0, n - WIDTH, WIDTH)]
        edges = [(low, min(low + WIDTH, n)) for low in range(0, n, WIDTH)]
        self.diagonal = [a_nn[low:high, low:high].double() for low, high in edges]
        """Blocks (w, w) on the diagonal; the last may be smaller."""
        self.below = [a_nn[low:high, low - WIDTH : low].double() for low, high in edges[1:]]
        """Blocks (w, w) below them, upper triangular."""

    def solve(self, lambdas: Tensor, b_nC: Tensor) -> Tensor:
        """X of every λ: (L, n, C) float64, NaN where A + λ I is not positive definite.

        Args:
            lambdas: (L,) float64.
            b_nC: one right-hand side for all λ (n, C), or one each (L, n, C).
        """
        L, C = len(lambdas), b_nC.shape[-1]
        dtype = self.reflectors[0].v.dtype if self.reflectors else torch.float64
        rotated = b_nC.to(dtype).movedim(-2, 0).reshape(b_nC.shape[-2], -1).clone()
        for reflector in self.reflectors:
            reflector.apply(rotated, transposed=True)
        right = rotated.view(len(rotated), -1, C).movedim(1, 0).double().expand(L, -1, -1)
        found = torch.cat(self._blocks(lambdas, right), dim=1)
        rotated = found.movedim(1, 0).reshape(found.shape[1], -1).to(dtype)
        for reflector in reversed(self.reflectors):
            reflector.apply(rotated, transposed=False)
        return rotated.view(len(rotated), L, C).movedim(1, 0).double()

    def _blocks(self, lambdas: Tensor, right_LnC: Tensor) -> list[Tensor]:
        """The block tridiagonal systems, by a Cholesky factor whose blocks are (L, w, w)."""
        factors: list[Tensor] = []
        links: list[Tensor] = []
        parts: list[Tensor] = []
        low = 0
        for index, block in enumerate(self.diagonal):
            shifted = block + lambdas[:, None, None] * torch.eye(len(block), dtype=block.dtype, device=block.device)
            part = right_LnC[:, low : low + len(block)]
            if index:
                below = self.below[index - 1].expand(len(lambdas), -1, -1)
                links.append(torch.linalg.solve_triangular(factors[-1], below.mT, upper=False).mT)
                shifted = shifted - links[-1] @ links[-1].mT
                part = part - links[-1] @ parts[-1]
            factor, info = torch.linalg.cholesky_ex(shifted)
            factors.append(torch.where((info == 0)[:, None, None], factor, torch.nan))
            parts.append(torch.linalg.solve_triangular(factors[-1], part, upper=False))
            low += len(block)
        for index in reversed(range(len(parts))):
            if index + 1 < len(parts):
                parts[index] = parts[index] - links[index].mT @ parts[index + 1]
            parts[index] = torch.linalg.solve_triangular(factors[index].mT, parts[index], upper=True)
        return parts


def _reduce(a_nn: Tensor, low: int) -> Reflector:
    """One panel: zeros below the band in columns low to low + WIDTH - 1, and the same reflection of the rest."""
    first = low + WIDTH
    panel = a_nn[first:, low:first]
    packed, tau = torch.geqrf(panel)
    width = len(tau)
    v = packed[:, :width].tril(-1)
    v.diagonal().fill_(1)
    v = v * (tau != 0)  # a column that is zero already is not reflected
    inverse = (v.T @ v).triu(1)
    inverse.diagonal().copy_(torch.where(tau != 0, 1 / tau, 1.0))
    t = torch.linalg.solve_triangular(inverse, torch.eye(width, dtype=v.dtype, device=v.device), upper=True)
    panel.copy_(packed.triu())
    rest = a_nn[first:, first:]
    y = rest @ (v @ t)
    w = y - v @ (t.T @ (v.T @ y) / 2)
    rest.addmm_(torch.cat([v, w], 1), torch.cat([w, v], 1).T, alpha=-1)
    return Reflector(first, v, t)
