"""scikit-learn's LogisticRegression and SGDClassifier: the reference that every solver here is tested against.

The only file that speaks scikit-learn's language: C = 1 / (λ N), and alpha = λ for SGDClassifier. Of two classes both
fit one vector w = w1 - w0 with penalty |w|²/2; two heads w/2 and -w/2 with our penalty have half of it, hence λ/2.
What it calls converged at its default tolerance can be far from the minimum, so the tolerance is tight here and the
certificate is computed from the solution.
"""

import logging
import warnings
from typing import Any

import numpy as np
import torch

from probe import ranks
from probe.data import Data
from probe.heads import LinearHead
from probe.solvers import TOLERANCE, Fit, Settings
from store.errors import BadValue

log = logging.getLogger("probe")


def fit(data: Data, settings: Settings) -> list[Fit]:
    """One LogisticRegression (L-BFGS, float64) per weight decay. Memory: 8 N D bytes.

    The certificate has the objective, the gradient and `gap_bound` as `lbfgs` has them: converged where the gradient is
    as small as was asked for, or the bound within the tolerance.
    """
    return _fit(data, settings, "logistic")


def fit_sgd(data: Data, settings: Settings) -> list[Fit]:
    """One SGDClassifier (hinge loss, one class against the others) per weight decay."""
    return _fit(data, settings, "sgd")


def _fit(data: Data, settings: Settings, kind: str) -> list[Fit]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, SGDClassifier

    if ranks.count() > 1:
        raise BadValue("scikit-learn's solvers work in one process: run without torchrun, or take --solver lbfgs")
    x_ND = np.empty((len(data), data.dim))
    for rows, x in data.chunks():
        x_ND[rows] = x.cpu().numpy()
    y_N = data.y_N.cpu().numpy()
    fits = []
    for weight_decay in settings.weight_decay:
        present = np.unique(y_N)
        alpha = weight_decay / 2 if len(present) == 2 and kind == "logistic" else weight_decay
        peer = (
            LogisticRegression(
                C=1 / (alpha * len(y_N)) if alpha else np.inf,
                tol=_gradient_tolerance(weight_decay, settings),
                max_iter=settings.max_passes * (10 if alpha else 1),
            )
            if kind == "logistic"
            else SGDClassifier(alpha=alpha, random_state=settings.seed, max_iter=settings.max_passes)
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            try:
                peer.fit(x_ND, y_N)
            except ValueError as error:
                raise BadValue(f"weight decay {weight_decay:g}: scikit-learn cannot fit this ({error})") from error
        weight, bias = peer.coef_, peer.intercept_
        if len(present) == 2:
            weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        head = _head(weight, bias, present, data)
        stopped = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
        certificate: dict[str, Any] = {"converged": not stopped, "passes": int(np.max(peer.n_iter_))}
        if kind == "logistic":
            certificate |= _certificate(weight, bias, x_ND, np.searchsorted(present, y_N), weight_decay, settings)
            if not certificate["converged"]:
                log.warning("weight decay %g: not converged after scikit-learn's %d passes, largest gradient %.1e",
                            weight_decay, certificate["passes"], certificate["gradient_max"])  # fmt: skip
        fits.append(Fit(head=head, weight_decay=weight_decay, certificate=certificate))
    return fits


def _gradient_tolerance(weight_decay: float, settings: Settings) -> float:
    """The largest gradient of the mean objective to stop at: 1e-7 at the default tolerance, less below λ = 1e-4."""
    return min(1e-7, 1e-3 * weight_decay or 1e-7) * settings.tolerance / TOLERANCE


def _certificate(
    weight: np.ndarray, bias: np.ndarray, x_ND: np.ndarray, y_N: np.ndarray, weight_decay: float, settings: Settings
) -> dict[str, Any]:
    """How near the minimum a solution is, computed from it in float64; y_N (N,) are rows of `weight` (C, D)."""
    logits = x_ND @ weight.T + bias
    logits -= logits.max(1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    rows = np.arange(len(y_N))
    objective = float(-log_p[rows, y_N].mean() + weight_decay / 2 * np.square(weight).sum())
    residual = np.exp(log_p)
    residual[rows, y_N] -= 1
    by_weight, by_bias = residual.T @ x_ND / len(y_N) + weight_decay * weight, residual.mean(0)
    largest = float(max(np.abs(by_weight).max(), np.abs(by_bias).max()))
    bound = float(np.square(by_weight).sum() / (2 * weight_decay)) if weight_decay else None
    near = bound is not None and bound <= settings.tolerance * objective
    return {
        "objective": objective,
        "converged": near or largest <= _gradient_tolerance(weight_decay, settings),
        "tolerance": settings.tolerance,
        "gradient_max": largest,
        "gradient_norm": float(np.sqrt(np.square(by_weight).sum() + np.square(by_bias).sum())),
        "bias_gradient_norm": float(np.linalg.norm(by_bias)),
        "gap_bound": bound,
    }


def _head(weight: np.ndarray, bias: np.ndarray, present: np.ndarray, data: Data) -> LinearHead:
    """A row for every class; those not in train are never chosen."""
    full_weight = np.zeros((data.num_classes, data.dim), np.float32)
    full_bias = np.full(data.num_classes, -1e30, np.float32)
    full_weight[present], full_bias[present] = weight, bias
    return LinearHead(torch.from_numpy(full_weight).to(data.device), torch.from_numpy(full_bias).to(data.device))
