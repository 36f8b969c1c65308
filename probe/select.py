"""Which weight decay: chosen on a val split (the default), by folds, or on the test split as the paper did."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from probe.data import Data
from probe.features import Block
from probe.metrics import Predictions, predict
from probe.solvers import Fit, Settings, solve
from probe.splits import fitted, stratified

log = logging.getLogger("probe")
VAL_PART = 5
"""Without a val split every fifth training sample of each class is held out."""


@dataclass(frozen=True)
class Choice:
    fit: Fit
    """The head that is reported."""
    data: Data
    """What it was trained on; its `prepare` belongs to the head."""
    grid: list[dict[str, Any]]
    """Each member: weight_decay, extra settings, val_top1, val_nll, test_top1, certificate."""
    chosen: int
    val_top1: float | None
    how: str
    """One sentence for the report."""


def mean_scores(folds: Sequence[Sequence[Predictions]]) -> list[tuple[float, float]]:
    """Per grid member (top-1, NLL), averaged over folds weighted by their samples."""
    scores = []
    for members in zip(*folds, strict=True):
        correct = np.concatenate([p.correct_N for p in members])
        likelihood = np.concatenate([p.log_likelihood_N for p in members])
        scores.append((float(correct.mean()), float(-likelihood.mean())))
    return scores


def best(scores: Sequence[tuple[float, float]], fits: Sequence[Fit]) -> int:
    """Highest top-1; among equals the lower NLL, then the stronger weight decay."""
    return max(range(len(scores)), key=lambda i: (scores[i][0], -scores[i][1], fits[i].weight_decay or 0.0))


def choose(
    solver: str, settings: Settings, blocks: list[Block], train: Data, val: Data | None, test: Data, *,
    select: str, folds: int, seed: int,
) -> Choice:  # fmt: skip
    """Train the grid, choose a member by `select`, and refit it where rows were held out for choosing.

    Args:
        train, val, test: with no step fitted; val None: a stratified fifth of train is held out.
    """
    whole = train if val is None else train.join(val)
    if select in ("paper", "oracle"):
        data = fitted(whole, blocks)
        fits = solve(solver, data, settings)
        scores = _scores(fits, test.prepared_by(data.prepare))
        chosen = best(scores, fits)
        grid = _grid(fits, None, scores)
        return Choice(fits[chosen], data, grid, chosen, None, "chosen on the test split: optimistic")
    if select == "kfold":
        part_N = stratified(whole.labels, folds, seed)
        pairs = [(np.flatnonzero(part_N != k), np.flatnonzero(part_N == k)) for k in range(folds)]
        how = f"chosen by {folds} stratified folds of train+val, refitted on all"
        held = [(whole.take(fit_rows), whole.take(val_rows)) for fit_rows, val_rows in pairs]
    elif val is None:
        part_N = stratified(train.labels, VAL_PART, seed)
        how = "chosen on a stratified fifth of train, refitted on all of train"
        held = [(train.take(np.flatnonzero(part_N != 0)), train.take(np.flatnonzero(part_N == 0)))]
    else:
        how = "chosen on val, refitted on train+val"
        held = [(train, val)]
    on_val, on_test = [], []
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


def _scores(fits: Sequence[Fit], data: Data) -> list[tuple[float, float]]:
    return mean_scores([predict([fit.head for fit in fits], data)])


def _grid(
    fits: Sequence[Fit], val: Sequence[tuple[float, float]] | None, test: Sequence[tuple[float, float]]
) -> list[dict[str, Any]]:
    return [
        {
            "weight_decay": fit.weight_decay,
            **fit.extra,
            "val_top1": val[i][0] if val else None,
            "val_nll": val[i][1] if val else None,
            "test_top1": test[i][0],
            "certificate": dict(fit.certificate),
        }
        for i, fit in enumerate(fits)
    ]
