"""Which member of the grid: chosen on a val split (the default), by folds, or on the test split.

`paper` chooses by what each member scores on the test split after its last epoch, as upstream did (RRL collect.py);
`oracle` takes the best of every member after every epoch: a bound that no honest choice can pass.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from probe.data import Data
from probe.features import Block
from probe.folds import held_fifth, stratified
from probe.metrics import Predictions, predict
from probe.solvers import Fit, Settings, grid_size, solve
from probe.splits import fitted
from store.errors import BadValue

log = logging.getLogger("probe")


@dataclass(frozen=True)
class Choice:
    fit: Fit
    """The head that is reported."""
    data: Data
    """What it was trained on; its `prepare` belongs to the head."""
    grid: list[dict[str, Any]]
    """Each member: weight_decay, extra settings, val_top1, val_nll, test_top1, certificate; where the test split chose
    and the solver works in epochs, `test_top1_by_epoch`."""
    chosen: int
    val_top1: float | None
    how: str
    """One sentence for the report."""
    epoch: int | None = None
    """After which `oracle` took the head, 1 the first."""

    @property
    def optimism_gap(self) -> float:
        """Test top-1 that choosing on the test split would have added, among the heads that were seen."""
        seen = [max([member["test_top1"], *member.get("test_top1_by_epoch", [])]) for member in self.grid]
        chosen = self.grid[self.chosen]
        taken = chosen["test_top1_by_epoch"][self.epoch - 1] if self.epoch else chosen["test_top1"]
        return float(max(seen) - taken)


@dataclass
class Watch:
    """Scores every member on the test split after every epoch, and keeps the best head of all."""

    test: Data
    curves: list[list[float]] = field(default_factory=list)
    """By member, then epoch: top-1"""
    best: tuple[float, float] = (-1.0, 0.0)
    """Top-1 and minus the NLL of the best head so far: among equals the earliest epoch."""
    member: int = 0
    epoch: int = 0
    head: Any = None

    def __call__(self, epoch: int, heads: Sequence[Any]) -> None:
        scores = mean_scores([predict(heads, self.test)])
        self.curves = self.curves or [[] for _ in heads]
        for member, (curve, (top1, nll)) in enumerate(zip(self.curves, scores, strict=True)):
            known = 0.0 if math.isnan(nll) else top1  # it diverged, and its classes say nothing
            curve.append(known)
            if (known, -nll) > self.best:
                self.best, self.member, self.epoch, self.head = (known, -nll), member, epoch, heads[member]


def mean_scores(folds: Sequence[Sequence[Predictions]]) -> list[tuple[float, float]]:
    """Per grid member (top-1, NLL), averaged over folds weighted by their samples."""
    scores = []
    for members in zip(*folds, strict=True):
        correct = np.concatenate([p.correct_N for p in members])
        likelihood = np.concatenate([p.log_likelihood_N for p in members])
        scores.append((float(correct.mean()), float(-likelihood.mean())))
    return scores


def best(scores: Sequence[tuple[float, float]], fits: Sequence[Fit]) -> int:
    """Highest top-1; among equals the lower NLL, then the stronger weight decay, then the first.

    What diverged comes last. Where a member has no NLL (a true class without a score), NLL decides nothing.
    """
    known = all(math.isfinite(nll) for _, nll in scores)

    def merit(i: int) -> tuple[bool, float, float, float]:
        return (
            not fits[i].certificate.get("diverged"),
            scores[i][0],
            -scores[i][1] if known else 0.0,
            fits[i].weight_decay or 0.0,
        )

    return max(range(len(scores)), key=merit)


def choose(
    solver: str, settings: Settings, blocks: list[Block], train: Data, val: Data | None, test: Data, *,
    select: str, folds: int, seed: int, unit_N: np.ndarray | None = None,
) -> Choice:  # fmt: skip
    """Train the grid, choose a member by `select`, and refit it where rows were held out for choosing.

    Args:
        train, val, test: with no step fitted; val None: a stratified fifth of train is held out.
        unit_N: of train, then val: rows of one number are held out together.
    """
    whole = train if val is None else train.join(val)
    if select in ("paper", "oracle"):
        return _on_test(solver, settings, fitted(whole, blocks), test, oracle=select == "oracle")
    if select == "kfold" and folds > whole.total:
        raise BadValue(f"--folds {folds}: there are {whole.total} samples in train and val; at most so many folds")
    try:
        held, how = _held_out(train, val, whole, select, folds, seed, unit_N)
    except BadValue:
        if grid_size(solver, settings) > 1:
            raise
        return _only(solver, settings, fitted(whole, blocks), test)
    on_val, on_test = [], []
    _warn_unknown(held)
    for part, val_part in held:
        data = fitted(part, blocks)
        fits = solve(solver, data, settings)
        heads = [fit.head for fit in fits]
        on_val.append(predict(heads, val_part.prepared_by(data.prepare)))
        on_test.append(predict(heads, test.prepared_by(data.prepare)))
    scores, test_scores = mean_scores(on_val), mean_scores(on_test)
    chosen = best(scores, fits)
    data = fitted(whole, blocks)
    (refit,) = solve(solver, data, settings.only(fits[chosen]))
    return Choice(refit, data, _grid(fits, scores, test_scores), chosen, scores[chosen][0], how)


def _held_out(
    train: Data, val: Data | None, whole: Data, select: str, folds: int, seed: int, unit_N: np.ndarray | None
) -> tuple[list[tuple[Data, Data]], str]:
    """(rows to train on, rows to choose on) of each round, and a sentence. Raises `BadValue`: nothing can be parted."""
    if select == "kfold":
        part_N = stratified(whole.labels, folds, seed, unit_N)
        used = [k for k in range(folds) if (part_N == k).any()]
        if not used:
            raise BadValue("--select kfold: no class has two samples that could be parted; give a --val split")
        pairs = [(np.flatnonzero(part_N != k), np.flatnonzero(part_N == k)) for k in used]
        held = [(whole.take(fit_rows), whole.take(val_rows)) for fit_rows, val_rows in pairs]
        return held, f"chosen by {folds} stratified folds of train+val, refitted on all"
    if val is not None:
        return [(train, val)], "chosen on val, refitted on train+val"
    held_N = held_fifth(train.labels, seed, unit_N)
    held = [(train.take(np.flatnonzero(~held_N)), train.take(np.flatnonzero(held_N)))]
    return held, "chosen on a stratified fifth of train, refitted on all of train"


def _warn_unknown(held: Sequence[tuple[Data, Data]]) -> None:
    """Say so where samples that choose are of classes that were not trained: they are wrong whatever is chosen."""
    lost = [int((~np.isin(val.labels, part.labels)).sum()) for part, val in held]
    if count := sum(lost):
        log.warning("%d of %d samples to choose on are of classes without a training sample: they say nothing of the "
                    "weight decay, and val top-1 counts them as wrong",
                    count, sum(val.total for _, val in held))  # fmt: skip


def _only(solver: str, settings: Settings, data: Data, test: Data) -> Choice:
    """A grid of one member, where nothing can be held out: there is nothing to choose, and no val accuracy."""
    fits = solve(solver, data, settings)
    scores = mean_scores([predict([fit.head for fit in fits], test.prepared_by(data.prepare))])
    how = "one setting, so nothing was chosen, and nothing held out: trained on all of train"
    return Choice(fits[0], data, _grid(fits, None, scores), 0, None, how)


def _on_test(solver: str, settings: Settings, data: Data, test: Data, *, oracle: bool) -> Choice:
    """All of the training rows train every member, and the test split chooses."""
    watch = Watch(test.prepared_by(data.prepare))
    fits = solve(solver, data, replace(settings, watch=watch))
    scores = mean_scores([predict([fit.head for fit in fits], watch.test)])
    grid = _grid(fits, None, scores)
    for member, curve in zip(grid, watch.curves, strict=False):
        member["test_top1_by_epoch"] = curve
    if oracle and watch.head is not None:
        fit = replace(fits[watch.member], head=watch.head)
        how = f"the best on the test split of every member after every epoch (epoch {watch.epoch}): a bound, optimistic"
        return Choice(fit, data, grid, watch.member, None, how, watch.epoch)
    chosen = best(scores, fits)
    how = (
        "the best member on the test split: a bound, optimistic"
        if oracle
        else "chosen on the test split"
        + (" after the last epoch, as upstream did: optimistic" if watch.curves else ": optimistic")
    )
    return Choice(fits[chosen], data, grid, chosen, None, how)


def _finite(nll: float) -> float | None:
    return nll if math.isfinite(nll) else None


def _grid(
    fits: Sequence[Fit], val: Sequence[tuple[float, float]] | None, test: Sequence[tuple[float, float]]
) -> list[dict[str, Any]]:
    return [
        {
            "weight_decay": fit.weight_decay,
            **fit.extra,
            "val_top1": val[i][0] if val else None,
            "val_nll": _finite(val[i][1]) if val else None,
            "test_top1": test[i][0],
            "test_nll": _finite(test[i][1]),
            "certificate": dict(fit.certificate),
        }
        for i, fit in enumerate(fits)
    ]
