"""What odd data gives: the right answer, or an error that says what to do."""

import json

import numpy as np
import pytest

from probe.cli import main
from store.errors import BadValue

SOLVERS = ("lbfgs", "sgd", "cosine", "ridge", "nearest", "knn", "sklearn", "sklearn_sgd")


@pytest.fixture
def row_of(root, make_set, capsys):
    """`row_of(x_of, y_of, *flags)`: stores the three splits and probes them."""

    def run(x_of, y_of, *flags: str, sizes=(40, 20, 20), classes=None) -> dict:
        for split, count in zip(("train", "val", "test"), sizes, strict=True):
            y_N = y_of(count)
            columns = {"label": classes} if classes else None
            x_ND = np.asarray(x_of(y_N), np.float32)
            make_set(x_ND, {"label": y_N}, dataset="odd", split=split, classes=columns)
        if set(flags) & {"sgd", "cosine"}:
            flags += (() if "--epochs" in flags else ("--epochs", "3")) + (() if "--lr" in flags else ("--lr", "0.5"))
        named = () if "--features" in flags else ("--features", "a")
        assert main([*named, "--dataset", "odd", "--store", root.url, "--json", *flags]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def thirds(count: int) -> np.ndarray:
    return np.arange(count) % 3


def clear(y_N: np.ndarray) -> np.ndarray:
    """Two columns that tell the classes apart, two that are constant."""
    rng = np.random.default_rng(len(y_N))
    return np.column_stack([y_N == 0, y_N == 1, np.full(len(y_N), 7.0), np.zeros(len(y_N))]) + np.pad(
        rng.normal(size=(len(y_N), 2)) * 0.05, ((0, 0), (0, 2))
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_constant_columns_do_no_harm(row_of, solver) -> None:
    # BatchNorm's running mean of the column of 7s starts at 0 and needs steps to get there
    epochs = ("--epochs", "100") if solver == "sgd" else ()
    assert row_of(clear, thirds, "--solver", solver, *epochs)["top1"] == 1.0


def test_sgd_takes_features_as_stored_before_batch_norm_and_says_so(row_of, caplog) -> None:
    def far(y_N):
        return clear(y_N)[:, :2] * 0.01 + 3

    def features(flags: tuple[str, ...], name: str = "a") -> dict:
        return row_of(far, thirds, "--solver", "sgd", "--features", name, *flags)

    raw, spelled = features(()), features((), "a:raw")
    assert "BatchNorm has seen 3 batches" in caplog.text
    assert raw["features"] == spelled["features"] == "a:raw"
    assert raw["certificate"] == spelled["certificate"]
    asked = features((), "a:std")
    assert asked["features"] == "a:std"
    assert asked["certificate"] != raw["certificate"]
    assert features(("--batch-norm", "none"))["features"] == "a"


@pytest.mark.parametrize("solver", SOLVERS)
def test_more_columns_than_rows(row_of, solver) -> None:
    def wide(y_N):
        return np.hstack([clear(y_N)[:, :2] * 5, np.random.default_rng(len(y_N)).normal(size=(len(y_N), 60)) * 0.01])

    assert row_of(wide, thirds, "--solver", solver)["num_samples"] == 20


def test_a_class_absent_from_train_counts_as_wrong(row_of, caplog) -> None:
    def labels(count: int) -> np.ndarray:
        return np.arange(count) % 3 if count == 20 else np.arange(count) % 2

    row = row_of(clear, labels, "--select", "oracle", sizes=(40, 40, 20), classes=["x", "y", "z"])
    assert row["per_class"]["z"] == 0.0
    assert "1 of 3 classes have no training sample" in caplog.text


def test_classes_that_were_never_trained_are_for_few_shot(row_of) -> None:
    def labels(count: int) -> np.ndarray:
        return np.arange(count) % 2 + (2 if count == 20 else 0)

    with pytest.raises(BadValue, match=r"no class of .*/test has a training sample in train.*python -m fewshot"):
        row_of(clear, labels, sizes=(40, 40, 20), classes=["w", "x", "y", "z"])


def test_one_row_and_no_labels_are_errors(root, make_set) -> None:
    for split in ("train", "val", "test"):
        make_set(np.ones((1, 2)), {"label": np.zeros(1, int)}, dataset="tiny", split=split)
        make_set(np.ones((3, 2)), {"label": np.full(3, -1)}, dataset="none", split=split, classes={"label": ["x"]})
    with pytest.raises(BadValue, match=r"tiny/train: every label is '0'; a head needs at least two classes"):
        main(["--features", "a", "--dataset", "tiny", "--store", root.url])
    with pytest.raises(BadValue, match=r"none/train: no sample has a 'label': choose another --target"):
        main(["--features", "a", "--dataset", "none", "--store", root.url])


def test_a_learning_rate_that_diverges_is_an_error_or_a_silent_member(row_of, caplog) -> None:
    with pytest.raises(BadValue, match=r"every run diverged at learning rates \[1e\+30\] and weight decays"):
        row_of(clear, thirds, "--solver", "sgd", "--lr", "1e30")
    flags = ("--solver", "sgd", "--lr", "1e38,0.5", "--batch-norm", "none")
    row = row_of(clear, thirds, *flags)
    assert row["lr"] == 0.5
    assert "lr 1e+38, weight decay 0.0001, seed 0 diverged: it predicts nothing" in caplog.text
    wild, *_ = row_of(clear, thirds, *flags, "--select", "oracle")["grid"]
    assert wild["certificate"]["diverged"]
    assert wild["test_top1_by_epoch"][-1] == wild["test_top1"] == 7 / 20, "no class is preferred to the first"


def test_a_member_that_diverged_is_not_chosen_though_the_others_know_as_little(row_of) -> None:
    row = row_of(clear, thirds, "--solver", "cosine", "--lr", "1e20,1", "--weight-decay", "1")
    assert row["lr"] == 1.0
    assert [member["certificate"]["diverged"] for member in row["grid"]] == [True, False]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_no_weight_decay_on_separable_features_ends_in_finite_numbers(row_of, precision) -> None:
    def wide(y_N):
        return np.hstack([clear(y_N) * 9, np.random.default_rng(0).normal(size=(len(y_N), 90))])

    row = row_of(wide, thirds, "--weight-decay", "0", "--precision", precision)
    assert row["top1"] == 1.0
    assert np.isfinite(row["certificate"]["objective"])


def test_samples_without_a_label_are_left_out_and_counted_once(row_of, caplog) -> None:
    def some(count: int) -> np.ndarray:
        return np.where(np.arange(count) % 4, thirds(count), -1)

    row = row_of(clear, some, classes=["x", "y", "z"])
    assert row["num_samples"] == 15
    assert caplog.text.count("odd/test: 5 of 20 samples have no label and are left out") == 1


def test_what_scikit_learn_cannot_fit_is_its_word(row_of) -> None:
    with pytest.raises(BadValue, match=r"weight decay 0: scikit-learn cannot fit this \(alpha must be > 0"):
        row_of(clear, thirds, "--solver", "sklearn_sgd", "--weight-decay", "0")


def test_votes_at_any_temperature(row_of) -> None:
    for temperature in ("1e-300", "1e300"):
        row = row_of(clear, thirds, "--solver", "knn", "--k", "1,3", "--temperature", temperature)
        assert row["top1"] == 1.0
        assert np.isfinite(row["nll"])


def test_more_folds_than_samples(row_of) -> None:
    with pytest.raises(BadValue, match="--folds 61: there are 60 samples in train and val"):
        row_of(clear, thirds, "--select", "kfold", "--folds", "61")


def test_more_folds_than_samples_of_a_class(row_of) -> None:
    row = row_of(clear, thirds, "--select", "kfold", "--folds", "5", sizes=(6, 6, 20))
    assert row["num_samples"] == 20


def test_a_split_that_is_scored_is_not_trained_on(row_of) -> None:
    def noise(y_N):
        return np.random.default_rng(len(y_N)).normal(size=(len(y_N), 60))

    row = row_of(noise, thirds, "--test", "val", sizes=(30, 33, 36))
    assert row["selection"] == "chosen on a stratified fifth of train, refitted on all of train"
    assert row["num_samples"] == 33
    assert row["top1"] < 0.8, "60 random columns fit 33 rows exactly only where these were trained on"
