"""scikit-learn's LogisticRegression and SGDClassifier: the reference that every solver here is tested against.

The only file that speaks scikit-learn's language: C = 1 / (λ N), and alpha = λ for SGDClassifier. Of two classes both
fit one vector w = w1 - w0 with penalty |w|²/2; two heads w/2 and -w/2 with our penalty have half of it, hence λ/2.
"""

import warnings

import numpy as np
import torch

from probe import ranks
from probe.data import Data
from probe.heads import LinearHead
from probe.solvers import Fit, Settings
from store.errors import BadValue


def fit(data: Data, settings: Settings) -> list[Fit]:
    """One LogisticRegression (L-BFGS, float64) per weight decay. Memory: 8 N D bytes."""
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
            LogisticRegression(C=1 / (alpha * len(y_N)) if alpha else np.inf, max_iter=settings.max_passes)
            if kind == "logistic"
            else SGDClassifier(alpha=alpha, random_state=settings.seed, max_iter=settings.max_passes)
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            try:
                peer.fit(x_ND, y_N)
            except ValueError as error:
                raise BadValue(f"weight decay {weight_decay:g}: scikit-learn cannot fit this ({error})") from error
        head = _head(peer.coef_, peer.intercept_, present, data)
        stopped = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
        certificate = {"converged": not stopped, "passes": int(np.max(peer.n_iter_))}
        fits.append(Fit(head=head, weight_decay=weight_decay, certificate=certificate))
    return fits


def _head(weight: np.ndarray, bias: np.ndarray, present: np.ndarray, data: Data) -> LinearHead:
    """A row for every class: two rows of the one vector of a binary fit, and none chosen for classes not in train."""
    if len(present) == 2:
        weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    full_weight = np.zeros((data.num_classes, data.dim), np.float32)
    full_bias = np.full(data.num_classes, -1e30, np.float32)
    full_weight[present], full_bias[present] = weight, bias
    return LinearHead(torch.from_numpy(full_weight).to(data.device), torch.from_numpy(full_bias).to(data.device))
