import numpy as np
import pytest

from fewshot.config import ALL, Span
from fewshot.episodes import draw_set
from fewshot.lists import Lists, Rows
from store.samples import Targets

SIZES = [3, 20, 8, 30, 9]
ONE = Span(1, 1)


@pytest.fixture
def target():
    return Targets("label", tuple("abcde"), np.random.default_rng(0).permutation(np.repeat(np.arange(5), SIZES)))


@pytest.fixture
def lists(target):
    rows = Rows.of([np.flatnonzero(target.index == i) for i in range(5)])
    return Lists(target, rows, rows, paired=True)


def test_an_episode_has_its_classes_and_no_image_twice(lists, target):
    made = draw_set(lists, Span(3, 3), Span(2, 2), 6, 500, 1, seed=7)
    (batch,) = made.batches
    assert batch.support_EWS.shape == (500, 3, 2)
    assert batch.query_EWQ.shape == (500, 3, 6)
    both = np.concatenate([batch.support_EWS, batch.query_EWQ], axis=2)
    assert (target.index[both] == batch.classes_EW[:, :, None]).all()
    assert all(len(np.unique(episode)) == 24 for episode in both)
    assert all(len(np.unique(classes)) == 3 for classes in batch.classes_EW)


def test_every_class_and_image_is_equally_likely(lists):
    (batch,) = draw_set(lists, Span(2, 2), ONE, 7, 20_000, 1, seed=1).batches
    counts = np.bincount(batch.classes_EW.ravel(), minlength=5)
    assert counts[0] == 0
    assert np.abs(counts[1:] / 10_000 - 1).max() < 0.03
    of_class_1 = batch.support_EWS[batch.classes_EW == 1]
    assert np.abs(np.unique(of_class_1, return_counts=True)[1] / (len(of_class_1) / 20) - 1).max() < 0.2


def test_the_seed_decides(lists):
    first, again, other = (draw_set(lists, Span(2, 2), ONE, 5, 9, 1, seed=seed).batches[0] for seed in (3, 3, 4))
    assert np.array_equal(first.query_EWQ, again.query_EWQ)
    assert not np.array_equal(first.query_EWQ, other.query_EWQ)


def test_the_draw_is_the_same_on_every_machine(lists):
    (batch,) = draw_set(lists, Span(2, 2), ONE, 3, 2, 1, seed=0).batches
    assert batch.classes_EW.tolist() == [[1, 2], [4, 1]]
    assert batch.support_EWS.ravel().tolist() == [42, 66, 10, 46]


def test_varied_ways_and_shots_are_batches_of_one_shape(lists):
    made = draw_set(lists, Span(2, 3), Span(1, 2), 5, 200, 1, seed=0)
    shapes = {(batch.way, batch.support_EWS.shape[2]) for batch in made.batches}
    assert shapes == {(2, 1), (2, 2), (3, 1), (3, 2)}
    assert sorted(np.concatenate([batch.number_E for batch in made.batches])) == list(range(200))
    assert min(map(len, made.batches)) > 20


def test_all_ways_takes_every_class_that_fits(lists):
    (batch,) = draw_set(lists, ALL, ONE, 7, 4, 1, seed=0).batches
    assert (np.sort(batch.classes_EW, axis=1) == [1, 2, 3, 4]).all()


def test_unpaired_lists_draw_support_and_query_apart(target):
    even, odd = (
        [np.flatnonzero((target.index == i) & (np.arange(70) % 2 == side)) for i in range(5)] for side in (0, 1)
    )
    lists = Lists(target, Rows.of(even), Rows.of(odd), paired=False)
    (batch,) = draw_set(lists, Span(2, 2), Span(2, 2), 3, 50, 1, seed=0).batches
    assert (batch.support_EWS % 2 == 0).all()
    assert (batch.query_EWQ % 2 == 1).all()
    assert (target.index[batch.query_EWQ] == batch.classes_EW[:, :, None]).all()
