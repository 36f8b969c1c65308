"""What is reported of a head's predictions."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from probe import ranks
from probe.data import Data
from probe.worst import LEAST_CLASSES, worst_group

log = logging.getLogger("probe")
BINS = 15
"""Equal bins of confidence in the calibration error, as in Guo et al. (2017)."""
NO_SCORE = -1e29
"""Logits below it say that a class cannot be chosen: a class without a training sample, or without a vote."""
NORMAL_95 = 1.959964


@dataclass(frozen=True)
class Predictions:
    """Per sample, in the order of the split."""

    y_N: np.ndarray
    top_NK: np.ndarray
    """(N, min(5, C)) int64: the classes of the highest logits, the highest first; -1 where fewer classes have a score.
    Equal logits come in torch.topk's order.
    """
    log_likelihood_N: np.ndarray
    """(N,) log softmax at the true class; minus infinity where it has no score"""
    confidence_N: np.ndarray
    """(N,) largest softmax value"""
    choices: int
    """Classes that the head chose among."""

    @property
    def correct_N(self) -> np.ndarray:
        correct: np.ndarray = self.top_NK[:, 0] == self.y_N
        return correct


def predict(heads: Sequence[Any], data: Data, trained: np.ndarray | None = None) -> list[Predictions]:
    """Predictions of several heads in one pass over the features, among data's allowed classes; logits are not kept.

    Args:
        trained: indices of the classes that the heads were trained on: only these are scored. None: all.
    """
    able_C = np.ones(data.num_classes, bool) if data.allowed_C is None else data.allowed_C
    if trained is not None:
        able_C = able_C & np.isin(np.arange(data.num_classes), trained)
    allowed = None if able_C.all() else torch.from_numpy(able_C).to(data.device)
    choices = int(able_C.sum())
    n, width = len(data), min(5, choices)
    kept = [(torch.empty((n, width), dtype=torch.int64), torch.empty(n), torch.empty(n)) for _ in heads]
    for rows, x_BD in data.chunks():
        y = data.y_N[rows]
        for head, (top, likelihood, confidence) in zip(heads, kept, strict=True):
            logits = head(x_BD).float()
            if allowed is not None:
                logits = logits.masked_fill(~allowed, -torch.inf)
            silent = logits < NO_SCORE
            log_p = logits.masked_fill(silent, -torch.inf).log_softmax(1).masked_fill(silent, -torch.inf)
            best = log_p.topk(width, dim=1)
            indices = best.indices.masked_fill(best.values == -torch.inf, -1)
            top[rows], confidence[rows] = indices.cpu(), best.values[:, 0].exp().cpu()
            likelihood[rows] = log_p.gather(1, y[:, None])[:, 0].cpu()
    order = np.argsort(ranks.gather(data.positions))
    gathered = [[ranks.gather(part.numpy())[order] for part in parts] for parts in kept]
    return [Predictions(data.labels, top, likelihood, sure, choices) for top, likelihood, sure in gathered]


def wilson(correct: int, total: int) -> tuple[float, float]:
    """95 % interval of a proportion. Source: Wilson (1927), without continuity correction."""
    if not total:
        return (0.0, 1.0)
    p, z = correct / total, NORMAL_95
    middle, spread = p + z * z / (2 * total), z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return (max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))


def calibration_error(confidence_N: np.ndarray, correct_N: np.ndarray) -> float:
    """Expected calibration error: |accuracy - confidence| averaged over bins, weighted by their counts."""
    bins = np.minimum((confidence_N * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=correct_N - confidence_N, minlength=BINS)
    return float(np.abs(gaps).sum() / len(bins))


def by_index(
    correct_N: np.ndarray, index_N: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, float], dict[str, int]]:
    """Accuracy of each class or group that has a sample, and how many samples it has."""
    total = np.bincount(index_N, minlength=len(names))
    right = np.bincount(index_N, weights=correct_N, minlength=len(names))
    there = [(i, name) for i, name in enumerate(names) if total[i]]
    return {name: right[i] / total[i] for i, name in there}, {name: int(total[i]) for i, name in there}


def without_nll(predictions: Predictions, trained: np.ndarray | None) -> int:
    """How many samples have no likelihood, so that the predictions have no NLL; a warning says so."""
    lost = ~np.isfinite(predictions.log_likelihood_N)
    if trained is not None:
        lost |= ~np.isin(predictions.y_N, trained)
    if lost.any():
        log.warning("no NLL: it is not defined where the true class has no score or no training sample, as for %d of "
                    "%d scored samples", lost.sum(), len(lost))  # fmt: skip
    return int(lost.sum())


def summarise(
    predictions: Predictions,
    classes: Sequence[str],
    *,
    probabilities: bool = True,
    trained: np.ndarray | None = None,
    group_N: np.ndarray | None = None,
    groups: Sequence[str] = (),
) -> dict[str, Any]:
    """All metrics of one head on one split, as JSON values; accuracies as fractions.

    NLL is left out where the head has no probabilities, and where it is not defined: a sample's class has no score, or
    is none of `trained`, the indices of classes that the head was trained on (None: all); `nll_undefined` then counts
    these samples. Top-5 is left out where the head chooses among fewer than LEAST_CLASSES. The worst group is as in
    probe/worst.py.
    """
    correct = predictions.correct_N
    per_class, class_counts = by_index(correct, predictions.y_N, classes)
    found: dict[str, Any] = {
        "top1": float(correct.mean()),
        "top1_interval": wilson(int(correct.sum()), len(correct)),
        "mean_class_accuracy": float(np.mean(list(per_class.values()))),
        "num_samples": len(correct),
        "per_class": per_class,
        "samples_per_class": class_counts,
    }
    if predictions.choices >= LEAST_CLASSES:
        found["top5"] = float((predictions.top_NK == predictions.y_N[:, None]).any(1).mean())
    if probabilities:
        if lost := without_nll(predictions, trained):
            found["nll_undefined"] = lost
        else:
            found["nll"] = float(-predictions.log_likelihood_N.mean())
        found["calibration_error"] = calibration_error(predictions.confidence_N, correct)
    if group_N is not None:
        known = group_N >= 0
        found["per_group"], found["samples_per_group"] = by_index(correct[known], group_N[known], groups)
        worst = worst_group(found["per_group"], found["samples_per_group"])
        found["worst_group"] = worst
        found["worst_group_accuracy"] = None if worst is None else found["per_group"][worst]
    return found
