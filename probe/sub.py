"""cat^sub: a head of its own for each block, averaged. The paper's control for what concatenating adds."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from probe.data import Data, Source
from probe.features import Block
from probe.heads import LinearHead, MeanHead
from probe.prepare import Prepare
from probe.select import Choice
from store.errors import BadValue


@dataclass(frozen=True)
class Columns:
    """Columns low to high - 1 of another source."""

    source: Source
    low: int
    high: int

    @property
    def shape(self) -> tuple[int, int]:
        return (self.source.shape[0], self.high - self.low)

    @property
    def dtype(self) -> np.dtype:
        return self.source.dtype

    @property
    def streamed(self) -> bool:
        return self.source.streamed

    @property
    def remote(self) -> bool:
        return self.source.remote

    def read(self, rows: slice | np.ndarray) -> np.ndarray | Tensor:
        return self.source.read(rows)[:, self.low : self.high]


def only_block(data: Data, index: int) -> Data:
    """The same samples with one block's columns, as they are stored."""
    low, high = data.prepare.columns[index]

    def cut(pieces: tuple[tuple[Source, np.ndarray], ...]) -> tuple[tuple[Source, np.ndarray], ...]:
        return tuple((Columns(source, low, high), rows) for source, rows in pieces)

    return replace(
        data, pieces=cut(data.pieces), prepare=Prepare([high - low], [[]]), views=tuple(map(cut, data.views))
    )


def average(choices: list[Choice], blocks: list[Block], of: str) -> MeanHead:
    """The mean of the chosen heads, on the blocks side by side as each was prepared.

    Raises `BadValue`: fewer than two blocks, or heads that are not linear.
    """
    if len(blocks) < 2:
        raise BadValue(f"--sub averages the heads of several blocks; {blocks[0]} is one")
    heads: list[Any] = [choice.fit.head for choice in choices]
    if not all(isinstance(head, LinearHead) for head in heads):
        raise BadValue("--sub averages linear heads: choose --solver lbfgs, sgd, ridge or sklearn")
    edges = np.cumsum([0, *(head.weight.shape[1] for head in heads)]).tolist()
    return MeanHead(tuple(heads), tuple(pairwise(edges)), of)


def together(prepares: list[Prepare]) -> Prepare:
    """The blocks' steps side by side."""
    widths = [high - low for one in prepares for low, high in one.columns]
    return Prepare(widths, [block for one in prepares for block in one.steps])
