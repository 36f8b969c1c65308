import logging

import numpy as np
import pytest

from fewshot.episodes import class_rows, draw, fitting_classes
from store.errors import BadValue
from store.samples import Targets

SIZES = [3, 20, 8, 30, 9]


@pytest.fixture
def target():
    rng = np.random.default_rng(0)
    return Targets("label", tuple("abcde"), rng.permutation(np.repeat(np.arange(5), SIZES)))


def test_an_episode_has_its_classes_and_no_image_twice(target):
    rows = class_rows(target, np.arange(70))
    made = draw(rows, np.array([1, 2, 3, 4]), way=3, shot=2, query=6, episodes=500, seed=7)
    assert made.support_EWS.shape == (500, 3, 2)
    assert made.query_EWQ.shape == (500, 3, 6)
    both = np.concatenate([made.support_EWS, made.query_EWQ], axis=2)
    assert (target.index[both] == made.classes_EW[:, :, None]).all()
    assert all(len(np.unique(episode)) == 24 for episode in both)
    assert all(len(np.unique(classes)) == 3 for classes in made.classes_EW)


def test_every_class_and_image_is_equally_likely(target):
    rows = class_rows(target, np.arange(70))
    made = draw(rows, np.array([1, 2, 3, 4]), way=2, shot=1, query=7, episodes=20_000, seed=1)
    counts = np.bincount(made.classes_EW.ravel(), minlength=5)
    assert counts[0] == 0
    assert np.abs(counts[1:] / 10_000 - 1).max() < 0.03
    uses = np.bincount(made.support_EWS.ravel(), minlength=70)[rows[1]]
    assert np.abs(uses / (10_000 / 20) - 1).max() < 0.2


def test_the_seed_decides(target):
    rows = class_rows(target, np.arange(70))
    first, again, other = (
        draw(rows, np.array([1, 3]), way=2, shot=1, query=5, episodes=9, seed=seed) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.query_EWQ, again.query_EWQ)
    assert not np.array_equal(first.query_EWQ, other.query_EWQ)


def test_rows_left_out_are_never_drawn(target):
    rows = class_rows(target, np.arange(0, 70, 2))
    assert (np.concatenate(rows) % 2 == 0).all()


def test_small_classes_are_named_and_left_out(target, caplog):
    rows = class_rows(target, np.arange(70))
    with caplog.at_level(logging.INFO, "fewshot"):
        assert fitting_classes(target, rows, shot=1, query=8, way=3).tolist() == [1, 3, 4]
    assert "2 classes have fewer than 9 images and do not take part: a (3), c (8)" in caplog.text


def test_too_few_fitting_classes_says_which_and_what_would_fit(target):
    rows = class_rows(target, np.arange(70))
    with pytest.raises(BadValue) as error:
        fitting_classes(target, rows, shot=5, query=15, way=4)
    assert str(error.value) == (
        "4 ways of 5 shots and 15 queries need 4 classes of column 'label' with at least 20 images, but 2 have them; "
        "too small: a (3), c (8), e (9). --ways 2 fits; --shots 5 --queries 3 fits"
    )
    with pytest.raises(
        BadValue, match="--ways 6: the target column 'label' has only 5 classes; give --ways 5 or fewer"
    ):
        fitting_classes(target, rows, shot=1, query=1, way=6)
    with pytest.raises(BadValue, match="no class but 4 has more than 3 images: give fewer --ways and --shots"):
        fitting_classes(target, rows, shot=4, query=30, way=5)
