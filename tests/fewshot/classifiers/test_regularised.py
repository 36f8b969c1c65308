import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from fewshot.classifiers import regularised


def normalised(chunk, e):
    x, q = (chunk.features.x_ND[rows[e]].double() for rows in (chunk.support_En, chunk.query_Em))
    return (torch.nn.functional.normalize(part).numpy() for part in (x, q))


@pytest.mark.parametrize("weight_decay", [None, 1e-3])
def test_ridge_is_sklearns(made_chunk, predict, weight_decay):
    chunk = made_chunk(3, weight_decay=weight_decay)
    logits_EmW = regularised.ridge(chunk)
    for e in range(3):
        x, q = normalised(chunk, e)
        model = Ridge(alpha=25 * (weight_decay or 1 / 25)).fit(x, 2 * np.eye(5)[chunk.labels_n] - 1)
        np.testing.assert_allclose(logits_EmW[e], model.predict(q), atol=2e-4)


@pytest.mark.parametrize("weight_decay", [None, 1e-4])
@pytest.mark.parametrize("shot", [1, 5])
def test_logistic_is_sklearns_converged(made_chunk, weight_decay, shot):
    chunk = made_chunk(3, shot=shot, weight_decay=weight_decay)
    n = 5 * shot
    logits_EmW = regularised.logistic(chunk)
    for e in range(3):
        x, q = normalised(chunk, e)
        inverse = 1 / (n * (weight_decay or 1 / n))
        model = LogisticRegression(C=inverse, tol=1e-10, max_iter=10_000).fit(x, chunk.labels_n)
        np.testing.assert_allclose(logits_EmW[e].softmax(1), model.predict_proba(q), atol=2e-4)


def test_two_equal_support_images_are_no_obstacle(made_chunk):
    chunk = made_chunk(2)
    chunk.support_En[0, 1] = chunk.support_En[0, 0]
    assert regularised.logistic(chunk).isfinite().all()
    assert regularised.ridge(chunk).isfinite().all()
