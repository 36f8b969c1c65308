import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from probe.metrics import predict, summarise
from probe.select import best
from probe.solvers import Fit, Settings, knn, solve
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


def test_a_class_without_a_vote_is_never_counted(made, data_of, caplog) -> None:
    x_ND, y_N = made(90, 5, 3)
    train = data_of(x_ND, y_N, num_classes=6)
    (fit,) = solve("knn", train, Settings(weight_decay=(), k=(1,)))
    query, true = made(60, 5, 3, seed=4)
    (found,) = predict([fit.head], data_of(query, true, num_classes=6))
    assert (found.top_NK[:, 1:] == -1).all()
    wrong = found.top_NK[:, 0] != true
    assert np.array_equal(np.isneginf(found.log_likelihood_N), wrong)
    report = summarise(found, "abcdef")
    assert report["top5"] == report["top1"] == 1 - wrong.mean()
    assert wrong.any()
    assert "nll" not in report
    assert report["nll_undefined"] == wrong.sum()
    assert f"as for {wrong.sum()} of 60 scored samples" in caplog.text
    (near,) = solve("nearest", train, Settings(weight_decay=()))
    (found,) = predict([near.head], data_of(query, true, num_classes=6))
    assert set(found.top_NK[:, :3].ravel()) == {0, 1, 2}
    assert (found.top_NK[:, 3:] == -1).all()


def test_where_an_nll_is_not_defined_it_chooses_nothing() -> None:
    fits = [Fit(head=None, extra={"k": k}) for k in (1, 5)]
    assert best([(0.5, float("inf")), (0.5, 1.0)], fits) == 0
    assert best([(0.5, 2.0), (0.5, 1.0)], fits) == 1
