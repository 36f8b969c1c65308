"""From Gram blocks to the centred normal equations of every candidate side by side, prepared as `python -m probe` does.

(X'X / N + λ I) W = X'T / N with X standardised and centred, T = ±1: probe/solvers/ridge.py, without a pass over X.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from probe.features import Block
from probe.prepare import Prepare, Step, standardise
from probe.prepare import Sums as Scatter
from probe.search.grams import Grams, Sums
from store.errors import BadFeatures
from store.features import FeatureSet


@dataclass(frozen=True)
class Source:
    """Parts of a split's rows that equations are summed over."""

    grams: Grams
    sets: Sequence[FeatureSet]
    """One for each candidate."""
    parts: tuple[int, ...]
    classes: np.ndarray
    """Index in the list of classes of all splits, for each class of this split."""


@dataclass(frozen=True)
class Normal:
    dims: tuple[int, ...]
    gram: dict[tuple[int, int], Tensor]
    """(i, j), i <= j -> (d_i, d_j) float64, divided by N, centred"""
    cross: list[Tensor]
    """(d_i, C) float64, divided by N, centred"""
    mean_C: Tensor
    """(C,) float64: of the targets"""
    prepare: Prepare
    """What happens to the rows that are scored."""
    mean: list[Tensor]
    """(d_i,) float64: of the prepared columns; near 0 where they are standardised"""
    total: int

    def block(self, i: int, j: int) -> Tensor:
        return self.gram[i, j] if i <= j else self.gram[j, i].T

    def alignment(self) -> np.ndarray:
        """(n, n) linear CKA of the candidates' prepared columns. Source: Kornblith et al. (2019), equation 4."""
        norms = np.array(
            [[float(self.block(i, j).norm()) for j in range(len(self.dims))] for i in range(len(self.dims))]
        )
        scale = np.sqrt(norms.diagonal())
        cka: np.ndarray = np.square(norms / np.outer(scale, scale).clip(1e-300)) * 1.0
        return cka


def assemble(blocks: Sequence[Block], ranges: Sequence[tuple[int, int]], sources: Sequence[Source], C: int) -> Normal:
    """The equations of all candidates over the rows of all sources.

    Args:
        ranges: columns (low, high) that each block keeps of its set.
    Raises: BadFeatures: a feature is NaN or infinite.
    """
    device = sources[0].grams.device
    found = [[_chosen(source, source.grams.sums(part)) for part in source.sets] for source in sources]
    total = int(sum(counts.sum() for _, _, counts in (one[0] for one in found)))
    counts_C, means, cross = torch.zeros(C, dtype=torch.float64), [], []
    for source, one in zip(sources, found, strict=True):
        counts_C.index_add_(0, torch.from_numpy(source.classes), torch.from_numpy(one[0][2]).double())
    for i, (low, high) in enumerate(ranges):
        mean = sum(counts.sum() * shift + sums.sum(0) for shift, sums, counts in (one[i] for one in found)) / total
        cross_CD = torch.zeros((C, high - low), dtype=torch.float64)
        for source, one in zip(sources, found, strict=True):
            shift, sums, counts = one[i]
            about_mean = sums - counts[:, None] * (mean - shift)
            cross_CD.index_add_(0, torch.from_numpy(source.classes), torch.from_numpy(about_mean[:, low:high]))
        means.append(mean)
        cross.append(cross_CD.T.mul(2 / total))  # t = 2 (class) - 1, and Σ (x - mean) = 0
    gram, steps, scales = {}, [], []
    for i, (low, high) in enumerate(ranges):
        scatter = _scatter(sources, found, means, i, i)[low:high, low:high]
        step = _step(blocks[i], torch.from_numpy(means[i][low:high]), scatter, total)
        steps.append([step] if step else [])
        scales.append(step.scale.double() if step and step.scale is not None else torch.ones(high - low).double())
        gram[i, i] = scatter
    for i, (low, high) in enumerate(ranges):
        cross[i] = (cross[i] * scales[i][:, None]).to(device)
        for j in range(i, len(ranges)):
            block = gram[i, i] if i == j else _scatter(sources, found, means, i, j)[low:high, slice(*ranges[j])]
            gram[i, j] = (block / total * scales[i][:, None] * scales[j]).contiguous().to(device)
    centre = [
        (torch.from_numpy(mean[low:high]) - (step[0].mean.double() if step else 0)) * scale  # type: ignore[union-attr]
        for mean, (low, high), step, scale in zip(means, ranges, steps, scales, strict=True)
    ]
    widths = tuple(high - low for low, high in ranges)
    prepare = Prepare(widths, steps).to(device)
    mean_C = (2 * counts_C / total - 1).to(device)
    return Normal(widths, gram, cross, mean_C, prepare, [mean.to(device) for mean in centre], total)


_Chosen = tuple[np.ndarray, np.ndarray, np.ndarray]
"""shift (D,), sums (C, D) and counts (C,) over the chosen parts."""


def _chosen(source: Source, sums: Sums) -> _Chosen:
    parts = list(source.parts)
    return sums.shift.astype(np.float64), sums.sums[parts].sum(0), sums.counts[parts].sum(0)


def _scatter(
    sources: Sequence[Source], found: Sequence[Sequence[_Chosen]], means: Sequence[np.ndarray], i: int, j: int
) -> Tensor:
    """(D_i, D_j) Σ (x_i - mean_i)(x_j - mean_j)' over all sources."""
    whole = 0
    for source, one in zip(sources, found, strict=True):
        (shift_i, sums_i, counts), (shift_j, sums_j, _) = one[i], one[j]
        off_i, off_j = means[i] - shift_i, means[j] - shift_j
        part = source.grams.gram(source.sets[i], source.sets[j])[list(source.parts)].sum(0)
        part -= np.outer(sums_i.sum(0), off_j) + np.outer(off_i, sums_j.sum(0) - counts.sum() * off_j)
        whole = whole + part
    return torch.from_numpy(np.asarray(whole))


def _step(block: Block, mean: Tensor, scatter: Tensor, total: int) -> Step | None:
    """The standardisation that `python -m probe` fits; None for a raw block."""
    if bad := int((~torch.isfinite(scatter.diagonal())).sum()):
        raise BadFeatures(f"features {block.name}: {bad} columns hold NaN or infinity. Run `python -m store verify`")
    if not block.steps:
        return None
    sums = Scatter(len(mean), torch.device("cpu"), full=False)
    sums.count, sums.mean, sums.scatter = torch.tensor(float(total)).double(), mean, scatter.diagonal()
    return standardise(sums)
