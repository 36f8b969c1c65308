import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, log_loss, top_k_accuracy_score

from probe.metrics import calibration_error, predict, summarise, wilson


class Fixed:
    """A head that returns the logits it was given."""

    def __init__(self, logits_NC) -> None:
        self.logits_NC = logits_NC

    def __call__(self, x):
        return torch.from_numpy(self.logits_NC)[x[:, 0].long()]


@pytest.fixture
def scored(data_of):
    rng = np.random.default_rng(0)
    y_N = rng.integers(0, 8, 300)
    logits = rng.normal(size=(300, 8)) + 2 * np.eye(8)[y_N]
    data = data_of(np.arange(300)[:, None], y_N)
    return y_N, logits, predict([Fixed(logits)], data)[0]


def test_the_usual_numbers_are_sklearns(scored) -> None:
    y_N, logits, predictions = scored
    classes = [f"c{i}" for i in range(8)]
    found = summarise(predictions, classes)
    p_NC = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert found["top1"] == pytest.approx((logits.argmax(1) == y_N).mean())
    assert found["top5"] == pytest.approx(top_k_accuracy_score(y_N, logits, k=5))
    assert found["nll"] == pytest.approx(log_loss(y_N, p_NC), rel=1e-5)
    assert found["mean_class_accuracy"] == pytest.approx(balanced_accuracy_score(y_N, logits.argmax(1)))
    assert list(found["per_class"]) == classes
    assert "nll" not in summarise(predictions, classes, probabilities=False)


def test_groups_and_the_worst_of_them(scored) -> None:
    y_N, logits, predictions = scored
    group_N = np.arange(300) % 3 - 1  # -1: no group
    found = summarise(predictions, [str(i) for i in range(8)], group_N=group_N, groups=("x", "y", "none of these"))
    right = logits.argmax(1) == y_N
    assert found["per_group"] == {
        "x": pytest.approx(right[group_N == 0].mean()),
        "y": pytest.approx(right[group_N == 1].mean()),
    }
    assert found["samples_per_group"] == {"x": 100, "y": 100}
    assert found["worst_group_accuracy"] == min(found["per_group"].values())
    assert found["per_group"][found["worst_group"]] == found["worst_group_accuracy"]


@pytest.mark.parametrize(("correct", "total"), [(0, 10), (10, 10), (37, 120), (1, 1)])
def test_wilson(correct, total) -> None:
    want = binomtest(correct, total).proportion_ci(method="wilson")
    assert wilson(correct, total) == pytest.approx((want.low, want.high), abs=1e-6)


def test_calibration_error_of_known_bins() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    assert calibration_error(confidence, np.array([1, 1, 1, 0])) == pytest.approx((2 * 0.05 + 2 * 0.05) / 4)
    assert calibration_error(np.array([1.0]), np.array([1])) == 0


def test_top_5_is_there_from_six_classes_on(data_of) -> None:
    rng = np.random.default_rng(1)
    for count in (5, 6):
        y_N = np.arange(40) % count
        (found,) = predict([Fixed(rng.normal(size=(40, count)))], data_of(np.arange(40)[:, None], y_N))
        assert ("top5" in summarise(found, "abcdef"[:count])) == (count == 6)


def test_a_class_that_no_head_was_trained_on_takes_no_place_among_the_five(data_of) -> None:
    y_N = np.arange(40) % 8
    logits = np.tile(np.arange(8.0), (40, 1))  # the class that has no sample in training has the highest
    (found,) = predict([Fixed(logits)], data_of(np.arange(40)[:, None], y_N), trained=np.arange(7))
    assert (found.top_NK == [6, 5, 4, 3, 2]).all()
    report = summarise(found, "abcdefgh", trained=np.arange(7))
    assert report["top5"] == 5 / 8
    assert report["nll_undefined"] == 5
    assert report["samples_per_class"] == dict.fromkeys("abcdefgh", 5)


def test_a_group_of_one_image_is_not_the_worst(scored) -> None:
    _, _, predictions = scored
    wrong = int(np.flatnonzero(~predictions.correct_N)[0])
    group_N = np.full(300, 0)
    group_N[:9], group_N[wrong] = 1, 2
    names = [str(i) for i in range(8)]
    found = summarise(predictions, names, group_N=group_N, groups=("many", "few", "one"))
    assert found["per_group"]["one"] == 0
    assert found["worst_group"] == "many"
    found = summarise(predictions, names, group_N=np.where(group_N == 0, -1, group_N), groups=("", "few", "one"))
    assert (found["worst_group"], found["worst_group_accuracy"]) == (None, None)
