#!/usr/bin/env bash
# scikit-learn 1.9.1, LogisticRegression (lbfgs) on its own digits, weakly regularised: with the default tolerance it ends without a
# ConvergenceWarning, well before max_iter, at an objective that is a multiple of the one it finds itself with a tight tolerance.
# One would take "no warning" for "at the minimum". Seen:
#   default: objective 1.718e-03, 16 iterations, warned False
#   tol=1e-10: objective 9.623e-04, 352 iterations, warned False (1.78 times lower)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import warnings

import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

x, y = load_digits(return_X_y=True)
x, decay = StandardScaler().fit_transform(x), 1e-6  # of mean loss + decay / 2 |W|^2
found = {}
for name, settings in (("default", {}), ("tol=1e-10", {"tol": 1e-10})):
    head = LogisticRegression(C=1 / (decay * len(y)), max_iter=20_000, **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        head.fit(x, y)
    warned = any(issubclass(one.category, ConvergenceWarning) for one in caught)
    objective = log_loss(y, head.predict_proba(x)) + decay / 2 * np.square(head.coef_).sum()
    found[name] = objective, int(head.n_iter_.max()), warned
    print(f"scikit-learn {sklearn.__version__}, {name}: objective {objective:.3e}, {head.n_iter_.max()} iterations, "
          f"warned {warned}")
(default, steps, warned), (tight, _, _) = found["default"], found["tol=1e-10"]
print(f"the default's objective is {default / tight:.2f} times the other")
assert not warned and steps < 20_000 and default > 1.2 * tight, "the behaviour has changed"
PY
