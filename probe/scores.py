"""Val accuracy of every subset at every weight decay: walks the lattice, and keeps what the best weight decay got."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from probe import ranks
from probe.lattice import Node, Subset, Sweep, tree
from probe.normal import Normal
from store.runtime import Progress


@dataclass(frozen=True)
class Scored:
    """One round: equations over the rows that heads are fitted on, and the rows that they are scored on."""

    normal: Normal
    x_ND: np.ndarray
    """(n, D) as stored: candidates side by side"""
    y_N: np.ndarray
    """(n,) int64"""


@dataclass(frozen=True)
class Score:
    top1: float
    nll: float
    weight_decay: float
    correct: np.ndarray
    """(n,) bool, rounds one after the other, at this weight decay"""


class Scorer:
    """Scores subsets on demand. One round, or one a fold; weight decays are shared out over ranks."""

    def __init__(
        self,
        rounds: Sequence[Scored],
        weight_decays: Sequence[float],
        *,
        chunk: int | None = None,
        progress: bool = True,
    ) -> None:
        """chunk: scored rows that are held as float32 at a time; None: all."""
        self.rounds, self.weight_decays, self.progress = rounds, sorted(weight_decays), progress
        self.chunk = chunk or max(len(one.y_N) for one in rounds)
        self.count = sum(len(one.y_N) for one in rounds)
        self._kept: tuple[tuple[int, int], Sweep] | None = None

    def __call__(self, wanted: Iterable[Subset], order: Sequence[int]) -> dict[Subset, Score]:
        """The best weight decay of each subset: highest top-1; among equals lower NLL, then the stronger.

        Args:
            order: in which blocks are eliminated; decides the time, not the result.
        """
        subsets = list(wanted)
        index, top = {subset: i for i, subset in enumerate(subsets)}, tree(subsets, order)
        right = torch.zeros((len(self.weight_decays), len(subsets)), dtype=torch.int64)
        nll = torch.zeros(right.shape, dtype=torch.float64)
        kept = np.zeros((len(subsets), -(-self.count // 8)), np.uint8)
        mine = list(ranks.share(len(self.weight_decays)))
        chosen = np.full(len(subsets), -1)
        with Progress(len(mine) * len(subsets), "subsets", "heads") as progress:
            for d in mine:
                correct = self._walk(top, index, self.weight_decays[d], nll[d])
                right[d] = torch.from_numpy(correct.sum(1))
                better = np.array(
                    [c < 0 or _rank(right, nll, d, i) >= _rank(right, nll, c, i) for i, c in enumerate(chosen)]
                )
                kept[better], chosen[better] = np.packbits(correct[better], axis=1), d
                if self.progress:
                    progress.update(len(subsets))
        right, nll = ranks.add(right), ranks.add(nll)
        best = np.array([max(range(len(right)), key=lambda d: _rank(right, nll, d, i)) for i in range(len(subsets))])
        kept = ranks.add(torch.from_numpy(np.where((chosen == best)[:, None], kept, 0).astype(np.uint8))).numpy()
        bits = np.unpackbits(kept, axis=1, count=self.count).astype(bool)
        return {
            subset: Score(
                int(right[best[i], i]) / self.count,
                float(nll[best[i], i]) / self.count,
                self.weight_decays[best[i]],
                bits[i],
            )
            for subset, i in index.items()
        }  # fmt: skip

    def _walk(self, top: Node, index: dict[Subset, int], weight_decay: float, nll: Tensor) -> np.ndarray:
        """(subsets, rows) bool: which are right; adds to `nll`."""
        correct = np.empty((len(index), self.count), bool)
        first = 0
        for r, one in enumerate(self.rounds):
            for start in range(0, len(one.y_N), self.chunk):
                y = torch.from_numpy(one.y_N[start : start + self.chunk]).to(one.normal.mean_C.device)
                at = slice(first + start, first + start + len(y))

                def use(subset: Subset, logits: Tensor, y: Tensor = y, at: slice = at) -> None:
                    hits, likelihood = judge(logits, y)
                    correct[index[subset], at] = hits.cpu().numpy()
                    nll[index[subset]] -= likelihood

                self._sweep(r, start)(top, weight_decay, use)
            first += len(one.y_N)
        return correct

    def _sweep(self, r: int, start: int) -> Sweep:
        """The last one is kept, so that one round in one chunk is prepared once."""
        if self._kept is None or self._kept[0] != (r, start):
            self._kept, normal = None, self.rounds[r].normal
            x = torch.from_numpy(self.rounds[r].x_ND[start : start + self.chunk]).to(normal.mean_C.device)
            rows = [part.T.contiguous() for part in torch.split(normal.prepare(x), list(normal.dims), 1)]
            self._kept = (r, start), Sweep(normal, rows)
        return self._kept[1]


def _rank(right: Tensor, nll: Tensor, d: int, i: int) -> tuple[int, float, int]:
    return int(right[d, i]), -float(nll[d, i]), d


def judge(logits: Tensor, y: Tensor) -> tuple[Tensor, float]:
    """Which of (C, n) logits are largest at their class, and Σ log softmax there. Overwrites the logits."""
    own, top = logits.gather(0, y[None])[0], logits.amax(0)
    hits = own >= top
    if int((logits == top).sum()) > len(y):  # equal logits: the first class counts, as in argmax
        hits = logits.argmax(0) == y
    likelihood = own - top - logits.sub_(top).exp_().sum(0).log_()
    return hits, float(likelihood.double().sum())
