"""Ridge heads of many subsets of blocks at one weight decay, sharing factors along the lattice of subsets.

Adding a block to a subset extends its Cholesky factor: the lattice is walked depth first, and each step eliminates one
block from the equations of those that may still come (the sweep of Furnival and Wilson, "Regressions by leaps and
bounds", 1974, by blocks). No factor is made twice, and the cost of a step does not grow with the subset.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from probe.search.normal import Normal
from store.errors import BadValue

DEPENDENT = 1e-12
"""A column of which others leave a smaller part is their combination, within float64."""
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
    """One block on the way from the last carried node: L L' = its Schur complement.

    The next step overwrites `half` and `cross`: a path keeps copies.
    """

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
    own: bool = False
    """Whether its equations are its own: its last child may overwrite them."""
    own_rows: bool = False
    """The same of its rows, until a node below is not carried."""


class Sweep:
    """Walks the lattice over one set of rows. Work space is kept between walks.

    A node's children are walked from the last block to the first, whose equations may overwrite the node's: little more
    than one set of them is alive at a time (probe/search/memory.py counts it).
    """

    def __init__(self, normal: Normal, rows: Sequence[Tensor]) -> None:
        """rows: of each candidate the rows to score, prepared, less `normal.mean`, (d, n), in the logits' dtype."""
        self.normal, self.rows, self.kind = normal, dict(enumerate(rows)), rows[0].dtype
        self._floor: dict[int, Tensor] = {}
        self._free: dict[tuple[torch.Size, torch.dtype], list[Tensor]] = {}
        self._rooms: dict[str, Tensor] = {}

    def __call__(self, top: Node, weight_decay: float, use: Use) -> None:
        """Hand the logits of every wanted subset to `use`.

        Raises: BadValue: columns depend on each other at this weight decay.
        """
        normal, device = self.normal, self.rows[0].device
        gram = {(i, j): normal.block(i, j) for a, i in enumerate(top.later) for j in top.later[a:]}
        for i in top.later:
            gram[i, i] = gram[i, i] + weight_decay * torch.eye(normal.dims[i], dtype=torch.float64, device=device)
        self._floor = {i: DEPENDENT * gram[i, i].diagonal() for i in top.later}
        constant = normal.mean_C.to(self.kind)[:, None].expand(-1, self.rows[0].shape[1])
        state = _State(gram, dict(enumerate(normal.cross)), self.rows, constant)
        try:
            self._walk(top, state, use)
        except ArithmeticError:
            raise BadValue(
                f"ridge: columns of the candidates depend on each other at weight decay {weight_decay:g}: "
                "give a larger --weight-decay"
            ) from None

    def _walk(self, node: Node, state: _State, use: Use) -> None:
        blocks = [block for block in reversed(node.later) if block in node.children]
        for block in blocks:
            child, taken = node.children[block], list[Tensor]()
            step = self._step(block, child, state)
            carry = not state.path and self._pays(child)
            if child.subset is not None or carry:
                logits = self._logits((*state.path, step), state, taken)
            if child.children:
                last = block == blocks[-1]
                below = self._below(step, child, state, None if last and state.own else taken)
                if carry:
                    rows = self._residual(step, child, state, None if last and state.own_rows else taken)
                    kept = self._copy(logits, taken)
                    below = replace(below, rows=rows, logits=kept, own_rows=True)
                else:
                    below = replace(below, path=(*state.path, self._short(step)))
            if child.subset is not None:
                use(child.subset, logits)
            del step
            if child.children:
                self._walk(child, below, use)
                del below
            for room in taken:
                self._free[room.shape, room.dtype].append(room)

    def _pays(self, child: Node) -> bool:
        """Whether to take what a block explains out of the scored rows of all later blocks: it spares each subset
        below one product (d, C) by (d, n), and costs one (d, d') by (d, n) for each later block.
        """
        return sum(self.normal.dims[j] for j in child.later) < child.below * len(self.normal.mean_C)

    def _step(self, block: int, child: Node, state: _State) -> _Step:
        factor, info = torch.linalg.cholesky_ex(state.gram[block, block])
        if int(info) or bool((factor.diagonal().square() <= self._floor[block]).any()):
            raise ArithmeticError
        parts = [state.cross[block], *(state.gram[block, j] for j in child.later)]
        right = self._room("equations", len(factor), sum(part.shape[1] for part in parts), factor.dtype)
        torch.cat(parts, 1, out=right)
        torch.linalg.solve_triangular(factor, right, upper=False, out=right)
        cross, *halves = torch.split(right, [part.shape[1] for part in parts], 1)
        return _Step(block, factor, dict(zip(child.later, halves, strict=True)), cross)

    def _below(self, step: _Step, child: Node, state: _State, taken: list[Tensor] | None) -> _State:
        """Where `taken` is None, the equations of `state` are overwritten."""
        half, later = step.half, child.later
        gram = {}
        for a, j in enumerate(later):
            for k in later[a:]:
                old = state.gram[j, k]
                room = old if taken is None else self._take(old.shape, old.dtype, taken)
                gram[j, k] = torch.addmm(old, half[j].T, half[k], alpha=-1, out=room)
        cross = {j: state.cross[j] - half[j].T @ step.cross for j in later}
        return _State(gram, cross, state.rows, state.logits, own=True)

    def _short(self, step: _Step) -> _Step:
        """A copy in the rows' dtype."""
        half = {j: value.to(self.kind, copy=True) for j, value in step.half.items()}
        return _Step(step.block, step.factor.to(self.kind), half, step.cross.to(self.kind, copy=True))

    def _residual(self, step: _Step, child: Node, state: _State, taken: list[Tensor] | None) -> dict[int, Tensor]:
        """Where `taken` is None, the rows of `state` are overwritten."""
        before = state.rows[step.block]
        own = self._room("rows", len(before), before.shape[1], self.kind).copy_(before)
        torch.linalg.solve_triangular(step.factor.to(self.kind), own, upper=False, out=own)
        residual = {}
        for j in child.later:
            old = state.rows[j]
            room = old if taken is None else self._take(old.shape, self.kind, taken)
            residual[j] = torch.addmm(old, step.half[j].to(self.kind).T, own, alpha=-1, out=room)
        return residual

    def _logits(self, path: Sequence[_Step], state: _State, taken: list[Tensor]) -> Tensor:
        """Those of the last carried node, and what the blocks since then add: back substitution, then products."""
        logits = self._copy(state.logits, taken)
        weights: list[tuple[int, Tensor]] = []
        for step in reversed(path):
            right = step.cross.to(self.kind)
            for later, weight in weights:
                right = torch.addmm(right, step.half[later].to(self.kind), weight, alpha=-1)
            weight = torch.linalg.solve_triangular(step.factor.to(self.kind).T, right, upper=True)
            weights.append((step.block, weight))
            logits.addmm_(weight.T, state.rows[step.block])
        return logits

    def _room(self, use: str, rows: int, columns: int, kind: torch.dtype) -> Tensor:
        """(rows, columns) until the next call with this `use`: one room for all steps, since an allocator does not give
        back what large tensors of ever other sizes leave behind.
        """
        if use not in self._rooms or self._rooms[use].numel() < rows * columns:
            self._rooms[use] = torch.empty(rows * columns, dtype=kind, device=self.rows[0].device)
        return self._rooms[use][: rows * columns].view(rows, columns)

    def _copy(self, value: Tensor, taken: list[Tensor]) -> Tensor:
        return self._take(value.shape, value.dtype, taken).copy_(value)

    def _take(self, shape: torch.Size, kind: torch.dtype, taken: list[Tensor]) -> Tensor:
        """Work space until the node is done: fresh memory would cost as much as the products on small blocks."""
        free = self._free.setdefault((shape, kind), [])
        room = free.pop() if free else torch.empty(shape, dtype=kind, device=self.rows[0].device)
        taken.append(room)
        return room
