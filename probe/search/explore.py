"""Which subsets are scored: all of them, or a greedy walk and random orders."""

import logging
from collections.abc import Iterable, Sequence

from probe.search.lattice import Subset
from probe.search.scores import Score, Scorer
from probe.search.worth import all_subsets, random_orders

log = logging.getLogger("probe")
Found = dict[Subset, Score]


def by_size(dims: Sequence[int]) -> list[int]:
    """Wide blocks first: most steps of a lattice are at its last blocks."""
    return sorted(range(len(dims)), key=lambda i: (-dims[i], i))


def everything(scorer: Scorer, dims: Sequence[int], largest: int) -> Found:
    return scorer(all_subsets(len(dims), largest), by_size(dims))


def greedy(scorer: Scorer, dims: Sequence[int], largest: int, orders: int, seed: int) -> Found:
    """Forward from none to `largest`, backward from there to one, and `orders` random orders for contributions."""
    found: Found = {}
    every = range(len(dims))
    best: Subset = ()
    while len(best) < largest:
        best = _next(scorer, found, dims, best, [tuple(sorted({*best, one})) for one in every if one not in best])
    while len(best) > 1:
        best = _next(scorer, found, dims, (), [tuple(one for one in best if one != out) for out in best])
    for order in random_orders(len(dims), orders, seed):
        _score(scorer, found, [tuple(sorted(order[:size])) for size in range(1, largest + 1)], order)
    return found


def _next(scorer: Scorer, found: Found, dims: Sequence[int], first: Subset, wanted: list[Subset]) -> Subset:
    """The best of `wanted`; those that are known are not scored again."""
    order = [*first, *(one for one in by_size(dims) if one not in first)]
    _score(scorer, found, wanted, order)
    best = max(wanted, key=lambda subset: (found[subset].top1, -found[subset].nll))
    log.info("%d candidates: top-1 %.2f on val", len(best), 100 * found[best].top1)
    return best


def _score(scorer: Scorer, found: Found, wanted: Iterable[Subset], order: Sequence[int]) -> None:
    if new := [subset for subset in dict.fromkeys(wanted) if subset not in found]:
        found.update(scorer(new, order))
