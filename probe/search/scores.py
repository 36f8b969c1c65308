"""Val accuracy of every subset at every weight decay: walks the lattice, and keeps what the best weight decay got."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from probe import ranks
from probe.search.lattice import Node, Subset, Sweep, tree
from probe.search.normal import Normal
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
    """Scores subsets on demand. One round, or one a fold; weight decays are shared out over ranks and threads."""

    def __init__(
        self, rounds: Sequence[Scored], weight_decays: Sequence[float], *, chunk: int | None = None, threads: int = 1
    ) -> None:
        """chunk: scored rows that are held as float32 at a time; None: all.

        threads: each walks the lattice for a weight decay of its own, on one processor: on blocks of some hundred
        columns that is faster than products that use them all. 1: one walk, and products on all of them.
        """
        self.rounds, self.weight_decays, self.threads = rounds, sorted(weight_decays), threads
        self.chunk = chunk or max(len(one.y_N) for one in rounds)
        self.count = sum(len(one.y_N) for one in rounds)
        self.device = rounds[0].normal.mean_C.device
        self._parts = [(r, start) for r, one in enumerate(rounds) for start in range(0, len(one.y_N), self.chunk)]
        self._first = self._prepared(*self._parts[0]) if len(self._parts) == 1 else None
        if self._first:  # takes their place
            self.rounds = [replace(rounds[0], x_ND=np.empty((0, rounds[0].x_ND.shape[1]), rounds[0].x_ND.dtype))]
        self._stop = threading.Event()
        self._sweeps: dict[int, tuple[tuple[int, int], Sweep]] = {}

    def __call__(self, wanted: Iterable[Subset], order: Sequence[int]) -> dict[Subset, Score]:
        """The best weight decay of each subset: highest top-1; among equals lower NLL, then the stronger.

        Args:
            order: in which blocks are eliminated; decides the time, not the result.
        """
        subsets, mine = list(wanted), list(ranks.share(len(self.weight_decays)))
        right = torch.zeros((len(self.weight_decays), len(subsets)), dtype=torch.int64)
        nll = torch.zeros(right.shape, dtype=torch.float64)
        kept, chosen = np.zeros((len(subsets), -(-self.count // 8)), np.uint8), np.full(len(subsets), -1)
        with Progress(len(mine) * len(subsets), "search", "heads") as progress:
            for d, correct, likelihood in self._walks(mine, subsets, order):
                right[d], nll[d] = torch.from_numpy(correct.sum(1)), torch.from_numpy(-likelihood)
                better = np.array(
                    [c < 0 or _rank(right, nll, d, i) > _rank(right, nll, c, i) for i, c in enumerate(chosen)]
                )
                kept[better], chosen[better] = np.packbits(correct[better], axis=1), d
                progress.update(len(subsets))
        right, nll = ranks.add(right.to(self.device)).cpu(), ranks.add(nll.to(self.device)).cpu()
        best = np.array([max(range(len(right)), key=lambda d: _rank(right, nll, d, i)) for i in range(len(subsets))])
        kept = np.where((chosen == best)[:, None], kept, 0).astype(np.uint8)
        kept = ranks.add(torch.from_numpy(kept).to(self.device)).cpu().numpy()
        bits = np.unpackbits(kept, axis=1, count=self.count).astype(bool)
        return {
            subset: Score(int(right[d, i]) / self.count, float(nll[d, i]) / self.count, self.weight_decays[d], bits[i])
            for i, (subset, d) in enumerate(zip(subsets, best.tolist(), strict=True))
        }

    def _walks(
        self, mine: Sequence[int], subsets: Sequence[Subset], order: Sequence[int]
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(weight decay's number, which are right, log likelihoods): (subsets, rows) bool, (subsets,) float64."""
        index, top = {subset: i for i, subset in enumerate(subsets)}, tree(subsets, order)

        def walk(d: int) -> tuple[int, np.ndarray, np.ndarray]:
            return d, *self._walk(top, index, self.weight_decays[d])

        if self.threads == 1:
            yield from map(walk, mine)
            return
        before = torch.get_num_threads()
        pool = ThreadPoolExecutor(self.threads, initializer=torch.set_num_threads, initargs=(1,))
        try:
            yield from pool.map(walk, mine)
        finally:
            self._stop.set()  # interrupted: the other walks end at their next subset, not after minutes
            pool.shutdown(cancel_futures=True)
            self._stop.clear()
            self._sweeps.clear()
            torch.set_num_threads(before)

    def _walk(self, top: Node, index: dict[Subset, int], weight_decay: float) -> tuple[np.ndarray, np.ndarray]:
        correct, likelihood = np.empty((len(index), self.count), bool), np.zeros(len(index))
        done = 0
        for r, start in self._parts:
            y = torch.from_numpy(self.rounds[r].y_N[start : start + self.chunk]).to(self.device)
            at = slice(done, done + len(y))
            done += len(y)

            def use(subset: Subset, logits: Tensor, y: Tensor = y, at: slice = at) -> None:
                if self._stop.is_set():
                    raise InterruptedError
                hits, found = judge(logits, y)
                correct[index[subset], at] = hits.cpu().numpy()
                likelihood[index[subset]] += found

            self._sweep(r, start)(top, weight_decay, use)
        return correct, likelihood

    def _sweep(self, r: int, start: int) -> Sweep:
        """Each thread keeps its last one: where there is one round in one chunk, for all weight decays."""
        thread = threading.get_ident()
        if thread not in self._sweeps or self._sweeps[thread][0] != (r, start):
            self._sweeps.pop(thread, None)
            rows = self._first or self._prepared(r, start)
            self._sweeps[thread] = (r, start), Sweep(self.rounds[r].normal, rows)
        return self._sweeps[thread][1]

    def _prepared(self, r: int, start: int) -> list[Tensor]:
        """Scored rows of each candidate, prepared and centred, (d, n) float32."""
        normal = self.rounds[r].normal
        x_ND = normal.prepare(torch.from_numpy(self.rounds[r].x_ND[start : start + self.chunk]).to(self.device))
        x_ND -= torch.cat(normal.mean).float()
        return [part.T.contiguous() for part in torch.split(x_ND, list(normal.dims), 1)]


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
