"""Ridge heads of many subsets of blocks at one weight decay, sharing factors along the lattice of subsets.

Adding a block to a subset extends its Cholesky factor: the lattice is walked depth first, and each step eliminates one
block from the equations of those that may still come (the sweep of Furnival and Wilson, "Regressions by leaps and
bounds", 1974, by blocks). No factor is made twice, and the cost of a step does not grow with the subset.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from probe.normal import Normal
from store.errors import BadValue

Subset = tuple[int, ...]
"""Candidates, ascending."""
Pairs = Mapping[tuple[int, int], Tensor]
Use = Callable[[Subset, Tensor], None]
"""What is done with a subset's logits (C, n); they are the caller's until it returns."""


@dataclass
class Node:
    """A subset in the tree of those that are wanted and what leads to them."""

    children: "dict[int, Node]" = field(default_factory=dict)
    subset: Subset | None = None
    """Set where this one is wanted itself."""
    later: list[int] = field(default_factory=list)
    """Blocks that are still to come below, in order."""
    below: int = 0
    """Wanted subsets below."""


def tree(wanted: Iterable[Subset], order: Sequence[int]) -> Node:
    """The tree of `wanted` in which blocks come in this order."""
    place = {block: k for k, block in enumerate(order)}
    top = Node()
    for subset in wanted:
        node = top
        path = sorted(subset, key=place.__getitem__)
        for depth, block in enumerate(path):
            node.later = sorted({*node.later, *path[depth:]}, key=place.__getitem__)
            node.below += 1
            node = node.children.setdefault(block, Node())
        node.subset = subset
    return top


@dataclass(frozen=True)
class _Step:
    """One block on the way from the last carried node: L L' = its Schur complement."""

    block: int
    factor: Tensor
    """(d, d) L"""
    half: dict[int, Tensor]
    """later block j -> L⁻¹ A_ij"""
    cross: Tensor
    """(d, C) L⁻¹ c_i"""


@dataclass(frozen=True)
class _State:
    """Equations and scored rows of the blocks to come, without what the blocks before them explain."""

    gram: Pairs
    cross: Mapping[int, Tensor]
    rows: Mapping[int, Tensor]
    """block -> (d, n), as of the last carried node"""
    logits: Tensor
    """(C, n) of the last carried node"""
    path: tuple[_Step, ...] = ()
    """Since the last carried node."""


class Sweep:
    """Walks the lattice over one set of rows. Work space is kept between walks.

    Memory: 8 bytes for each pair of columns still to come, and 4 for each of their columns and rows, at every depth.
    """

    def __init__(self, normal: Normal, rows: Sequence[Tensor]) -> None:
        """rows: of each candidate the prepared rows to score, (d, n), in the logits' dtype; centred in place."""
        self.normal = normal
        self.rows = {
            i: x.sub_(mean.to(x.dtype)[:, None]) for i, (x, mean) in enumerate(zip(rows, normal.mean, strict=True))
        }
        self._rooms: dict[tuple[int, ...], Tensor] = {}

    def __call__(self, top: Node, weight_decay: float, use: Use) -> None:
        """Hand the logits of every wanted subset to `use`.

        Raises: BadValue: columns depend on each other at this weight decay.
        """
        normal, kind = self.normal, self.rows[0]
        gram = {(i, j): normal.block(i, j) for a, i in enumerate(top.later) for j in top.later[a:]}
        for i in top.later:
            gram[i, i] = gram[i, i] + weight_decay * torch.eye(normal.dims[i], dtype=torch.float64, device=kind.device)
        constant = normal.mean_C.to(kind.dtype)[:, None].expand(-1, kind.shape[1])
        self._walk(top, _State(gram, dict(enumerate(normal.cross)), self.rows, constant), 0, weight_decay, use)

    def _walk(self, node: Node, state: _State, depth: int, weight_decay: float, use: Use) -> None:
        for block, child in node.children.items():
            step = self._step(block, child, state, weight_decay)
            path = (*state.path, step)
            carry = not state.path and self._pays(child)
            logits = self._logits(path, state) if child.subset is not None or carry else None
            if child.children:
                below = self._below(step, child, state, depth)
                if carry:
                    assert logits is not None
                    kept = self._room(logits.shape, logits.dtype, depth, -1).copy_(logits)
                    below = _State(below.gram, below.cross, self._residual(step, child, state, depth), kept)
            if child.subset is not None:
                assert logits is not None
                use(child.subset, logits)
            if child.children:
                self._walk(child, below, depth + 1, weight_decay, use)

    def _pays(self, child: Node) -> bool:
        """Whether to take what a block explains out of the scored rows of all later blocks: it spares each subset
        below one product (d, C) by (d, n), and costs one (d, d') by (d, n) for each later block.
        """
        return sum(self.normal.dims[j] for j in child.later) < child.below * len(self.normal.mean_C)

    def _step(self, block: int, child: Node, state: _State, weight_decay: float) -> _Step:
        factor, info = torch.linalg.cholesky_ex(state.gram[block, block])
        if int(info):
            raise BadValue(
                f"ridge: columns of the candidates depend on each other at weight decay {weight_decay:g}: "
                "give a larger --weight-decay"
            )
        half = {j: torch.linalg.solve_triangular(factor, state.gram[block, j], upper=False) for j in child.later}
        return _Step(block, factor, half, torch.linalg.solve_triangular(factor, state.cross[block], upper=False))

    def _below(self, step: _Step, child: Node, state: _State, depth: int) -> _State:
        half, later = step.half, child.later
        gram = {}
        for a, j in enumerate(later):
            for k in later[a:]:
                old = state.gram[j, k]
                room = self._room(old.shape, old.dtype, depth, j, k)
                gram[j, k] = torch.addmm(old, half[j].T, half[k], alpha=-1, out=room)
        cross = {j: state.cross[j] - half[j].T @ step.cross for j in later}
        kind = self.rows[0].dtype
        short = _Step(step.block, step.factor.to(kind), {j: v.to(kind) for j, v in half.items()}, step.cross.to(kind))
        return _State(gram, cross, state.rows, state.logits, (*state.path, short))

    def _residual(self, step: _Step, child: Node, state: _State, depth: int) -> dict[int, Tensor]:
        kind = self.rows[0].dtype
        own = torch.linalg.solve_triangular(step.factor.to(kind), state.rows[step.block], upper=False)
        residual = {}
        for j in child.later:
            old = state.rows[j]
            room = self._room(old.shape, kind, depth, j)
            residual[j] = torch.addmm(old, step.half[j].to(kind).T, own, alpha=-1, out=room)
        return residual

    def _logits(self, path: Sequence[_Step], state: _State) -> Tensor:
        """Those of the last carried node, and what the blocks since then add: back substitution, then products."""
        kind = self.rows[0].dtype
        logits = self._room(state.logits.shape, kind, -1).copy_(state.logits)
        weights: list[tuple[int, Tensor]] = []
        for step in reversed(path):
            right = step.cross.to(kind)
            for later, weight in weights:
                right = torch.addmm(right, step.half[later].to(kind), weight, alpha=-1)
            weight = torch.linalg.solve_triangular(step.factor.to(kind).T, right, upper=True)
            weights.append((step.block, weight))
            logits.addmm_(weight.T, state.rows[step.block])
        return logits

    def _room(self, shape: Sequence[int], kind: torch.dtype, *name: int) -> Tensor:
        """Work space under a name: fresh memory at every step would cost as much as the products on small blocks."""
        if name not in self._rooms or self._rooms[name].shape != tuple(shape):
            self._rooms[name] = torch.empty(tuple(shape), dtype=kind, device=self.rows[0].device)
        return self._rooms[name]
