import logging

import numpy as np
import pytest

from fewshot.config import Crossing
from fewshot.lists import class_lists
from fewshot.pool import open_pool
from store.errors import BadValue, UnknownName

SIZES = [3, 20, 8, 30, 9]
NAMES = [f"class{i}" for i in range(5)]
STYLES = ["google", "twitter"]


@pytest.fixture
def pool(root, make_set):
    """70 images of 5 classes; every second one is google's, the others twitter's; `emoji` pairs neighbours."""
    rng, label = np.random.default_rng(0), np.repeat(np.arange(5), SIZES)
    targets = {"label": label, "style": np.arange(70) % 2, "emoji": np.arange(70) // 2}
    make_set(rng.normal(size=(70, 3)), targets, classes={"label": NAMES, "style": STYLES}, bad_rows={4: "torn"})
    return open_pool(root, "toy", ["train"], ["a"])


def listed(side, i):
    return side.flat[side.starts[i] : side.starts[i] + side.sizes[i]].tolist()


def test_each_class_has_the_rows_that_could_be_read(pool):
    lists = class_lists(pool, pool.target())
    assert lists.paired
    assert listed(lists.support, 0) == [0, 1, 2]
    assert listed(lists.support, 1) == [3, *range(5, 23)]
    assert lists.support.sizes.tolist() == [3, 19, 8, 30, 9]


def test_only_the_classes_asked_for(pool):
    assert class_lists(pool, pool.target(), ["class3", "class0"]).support.sizes.tolist() == [3, 0, 0, 30, 0]
    with pytest.raises(UnknownName, match="unknown class 'clas3'; nearest: class3"):
        class_lists(pool, pool.target(), ["clas3"])


def test_support_from_one_group_and_query_from_another(pool):
    lists = class_lists(pool, pool.target(), crossing=Crossing("style", "google", "twitter"))
    assert not lists.paired
    assert listed(lists.support, 2) == [24, 26, 28, 30]
    assert listed(lists.query, 2) == [23, 25, 27, 29]
    with pytest.raises(UnknownName, match="unknown group of column 'style' 'gogle'; nearest: google"):
        class_lists(pool, pool.target(), crossing=Crossing("style", "gogle", "twitter"))


def test_apart_with_groups_pairs_the_same_thing_in_both(pool):
    lists = class_lists(pool, pool.target(), crossing=Crossing("style", "google", "twitter"), apart="emoji")
    assert lists.paired
    assert lists.support.sizes.tolist() == lists.query.sizes.tolist() == [1, 8, 3, 14, 4]
    assert np.array_equal(lists.support.flat + 1, lists.query.flat)  # rows 2i and 2i + 1 are one emoji


def test_apart_alone_keeps_one_image_of_each_value(pool):
    lists = class_lists(pool, pool.target(), apart="emoji", seed=3)
    assert sorted(lists.support.flat // 2) == list(range(35)), "whatever its class: four emoji are of two classes"
    assert lists.support.sizes.sum() == 35


def test_apart_with_groups_uses_a_value_of_two_classes_for_one_of_them(root, make_set):
    """Ten patients, each with an image of either class in either group."""
    image = np.arange(40)
    targets = {"label": image % 2, "style": image // 2 % 2, "patient": image // 4}
    make_set(np.ones((40, 2)), targets, classes={"style": STYLES})
    pool = open_pool(root, "toy", ["train"], ["a"])
    lists = class_lists(pool, pool.target(), crossing=Crossing("style", "google", "twitter"), apart="patient")
    assert sorted(lists.support.flat // 4) == sorted(lists.query.flat // 4) == list(range(10))
    assert np.array_equal(lists.support.flat + 2, lists.query.flat)
    assert (lists.support.sizes > 0).all()


def test_rows_without_a_value_stand_for_themselves(root, make_set):
    targets = {"label": np.zeros(12, int), "unit": np.array([0, 0, 0, 1, 1, 1] + 6 * [-1])}
    make_set(np.ones((12, 2)), targets, classes={"label": ["x", "y"], "unit": ["u", "v"]})
    pool = open_pool(root, "toy", ["train"], ["a"])
    lists = class_lists(pool, pool.target(), apart="unit")
    assert lists.support.sizes.tolist() == [8, 0]


def test_small_classes_are_named_and_left_out(pool, caplog):
    with caplog.at_level(logging.INFO, "fewshot"):
        assert class_lists(pool, pool.target()).fitting(shot=1, query=8, way=3).tolist() == [1, 3, 4]
    assert "2 classes have fewer than 9 images and do not take part: class0 (3), class2 (8)" in caplog.text


def test_too_few_fitting_classes_says_which_and_what_would_fit(pool):
    lists = class_lists(pool, pool.target())
    with pytest.raises(BadValue) as error:
        lists.fitting(shot=5, query=14, way=4)
    assert str(error.value) == (
        "4 ways of 5 shots and 14 queries need 4 classes of column 'label' with at least 19 images, but 2 have them; "
        "too small: class0 (3), class2 (8), class4 (9). --ways 2 fits; --shots 5 --queries 3 fits"
    )
    with pytest.raises(BadValue, match="--ways 6: only 5 classes of column 'label' have images here; give --ways 5"):
        lists.fitting(shot=1, query=1, way=6)
    with pytest.raises(BadValue, match="no --queries fits 4 shots: give fewer --ways and --shots"):
        class_lists(pool, pool.target(), ["class0", "class1"]).fitting(shot=4, query=30, way=2)
    crossed = class_lists(pool, pool.target(), crossing=Crossing("style", "google", "twitter"))
    with pytest.raises(BadValue, match=r"at least 5 support and 2 query images.* class0 \(2 support, 1 query\)"):
        crossed.fitting(shot=5, query=2, way=5)
