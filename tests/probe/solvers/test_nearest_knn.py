import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from probe.solvers import Settings, knn, solve
from store.errors import BadValue


def test_nearest_equals_sklearn_and_a_class_without_samples_is_never_chosen(made, data_of) -> None:
    x_ND, y_N = made(200, 12, 4)
    (fit,) = solve("nearest", data_of(x_ND, y_N, num_classes=6), Settings(weight_decay=()))
    chosen = fit.head(torch.from_numpy(x_ND)).argmax(1).numpy()
    assert np.array_equal(chosen, NearestCentroid().fit(x_ND.astype(np.float64), y_N).predict(x_ND))


@pytest.mark.parametrize("rows", [17, 16384])
def test_knn_equals_sklearn_on_unit_vectors(made, data_of, monkeypatch, rows) -> None:
    monkeypatch.setattr(knn, "ROWS", rows)
    x_ND, y_N = made(150, 8, 3)
    query = made(40, 8, 3, seed=5)[0]
    fits = solve("knn", data_of(x_ND, y_N), Settings(weight_decay=(), k=(1, 15), temperature=0.1))
    unit, unit_query = (v.astype(np.float64) / np.linalg.norm(v, axis=1, keepdims=True) for v in (x_ND, query))
    for fit, k in zip(fits, (1, 15), strict=True):
        peer = KNeighborsClassifier(k, weights=lambda distance: np.exp(-(distance**2) / 2 / 0.1)).fit(unit, y_N)
        want = peer.predict_proba(unit_query)
        assert fit.extra == {"k": k}
        assert np.allclose(fit.head(torch.from_numpy(query)).softmax(1).numpy(), want, atol=1e-4)


def test_k_larger_than_train_is_all_of_train(made, data_of) -> None:
    data = data_of(*made(9, 4, 3))
    (fit,) = solve("knn", data, Settings(weight_decay=(), k=(1000,)))
    assert torch.isfinite(fit.head(torch.ones(2, 4))).all()
    with pytest.raises(BadValue, match="both must be above 0"):
        solve("knn", data, Settings(weight_decay=(), k=(0,)))
