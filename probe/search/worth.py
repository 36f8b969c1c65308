"""What each candidate adds: contributions with intervals, best subsets by size and by cost, redundancy, agreement."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

Subset = tuple[int, ...]
Correct = Mapping[Subset, np.ndarray]
"""Subset -> (n,) bool: which samples it gets right. The empty one: always the most frequent class."""
DRAWS = 1000
"""Bootstrap samples behind an interval."""


def number_of_subsets(count: int, largest: int) -> int:
    return sum(math.comb(count, size) for size in range(1, largest + 1))


def all_subsets(count: int, largest: int) -> list[Subset]:
    return [subset for size in range(1, largest + 1) for subset in combinations(range(count), size)]


def random_orders(count: int, number: int, seed: int) -> list[Subset]:
    """Orders in which candidates join, each followed by its reverse: their errors partly cancel."""
    rng = np.random.default_rng(seed)
    forward = [tuple(rng.permutation(count).tolist()) for _ in range((number + 1) // 2)]
    return [order for one in forward for order in (one, one[::-1])][:number]


def shapley(correct: Correct, count: int, largest: int) -> np.ndarray:
    """(count, n) per sample: what each candidate adds to a subset, averaged over subsets of a size, then over sizes.

    Over all subsets (largest = count) the mean over samples is the Shapley value of top-1: Shapley (1953), the form of
    Strumbelj and Kononenko (2010), equation 5.
    """
    n = len(next(iter(correct.values())))
    sums, numbers = np.zeros((count, largest, n)), np.zeros((count, largest, 1))
    for subset, hits in correct.items():
        for member in subset:
            rest = tuple(one for one in subset if one != member)
            if rest in correct:
                sums[member, len(rest)] += hits.astype(np.float64) - correct[rest]
                numbers[member, len(rest)] += 1
    means = sums / np.maximum(numbers, 1)
    known = (numbers > 0).sum(1)
    values: np.ndarray = means.sum(1) / np.maximum(known, 1)
    return values


def interval(values: np.ndarray, seed: int) -> list[tuple[float, float]]:
    """95 % bootstrap interval of each row's mean over samples; the samples are drawn alike for all rows."""
    rng = np.random.default_rng(seed)
    n = values.shape[1]
    means = np.stack([values @ (rng.multinomial(n, np.full(n, 1 / n)) / n) for _ in range(DRAWS)])
    low, high = np.quantile(means, (0.025, 0.975), axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def error_overlap(correct: Sequence[np.ndarray]) -> np.ndarray:
    """(n, n) samples that both get wrong, as a part of those that either does; 1 where neither errs."""
    wrong = ~np.stack(correct)
    both = wrong.astype(np.float64) @ wrong.T.astype(np.float64)
    alone = both.diagonal()
    either = alone[:, None] + alone - both
    overlap: np.ndarray = np.where(either > 0, both / np.maximum(either, 1), 1.0)
    return overlap


def best_per_size(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Of rows sorted best first: the first of each size, small sizes first."""
    first: dict[int, int] = {}
    for i, row in enumerate(rows):
        first.setdefault(len(row["members"]), i)
    return [first[size] for size in sorted(first)]


def enough(rows: Sequence[Mapping[str, Any]], n: int) -> int:
    """Of rows sorted best first, scored on n samples: the best of the smallest size that comes within one standard
    error of the best of all. Source: the rule of Breiman et al., "Classification and Regression Trees", 1984, 3.4.3.
    """
    best = rows[0]["val_top1"]
    least = best - math.sqrt(best * (1 - best) / n)
    return next(i for i in best_per_size(rows) if rows[i]["val_top1"] >= least)


def pareto(rows: Sequence[Mapping[str, Any]], cost: str) -> list[int]:
    """Of rows sorted best first: those that nothing cheaper equals, cheapest first; () where a cost is unknown."""
    if not all(cost in row for row in rows):
        return []
    found: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: (rows[i][cost], i)):
        if not found or rows[i]["val_top1"] > rows[found[-1]]["val_top1"]:
            found.append(i)
    return found


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> dict[str, float | int] | None:
    """Spearman's ρ (ties share their mean rank) and Kendall's τ-b; None below three values or where all are equal."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    spearman = float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])
    dx, dy = np.sign(x[:, None] - x), np.sign(y[:, None] - y)
    kendall = float((dx * dy).sum() / math.sqrt((dx != 0).sum() * (dy != 0).sum()))
    return {"spearman": spearman, "kendall": kendall, "num": len(x)}


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: np.ndarray = (ends - (counts - 1) / 2)[inverse]
    return ranks
