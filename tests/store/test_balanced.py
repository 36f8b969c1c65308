import numpy as np

from store.balanced import any_groups, two_groups

UNEQUAL = np.repeat([0, 1, 2], [400, 30, 70])


def test_a_batch_is_half_of_each_of_two_distinct_groups() -> None:
    counts = np.zeros(3, int)
    for epoch in range(20):
        positions, groups = two_groups(UNEQUAL, 20, 0, epoch)
        assert positions.shape == (25, 20)
        assert (groups[:, 0] != groups[:, 1]).all()
        assert np.array_equal(UNEQUAL[positions], np.repeat(groups, 10, axis=1))
        counts += np.bincount(groups.ravel(), minlength=3)
    assert counts.sum() == 1000
    assert np.abs(counts - 1000 / 3).max() < 60  # uniform, whatever the groups' sizes


def test_every_sample_of_a_group_is_seen_before_any_is_seen_again() -> None:
    group_N = np.repeat([0, 1], [50, 10])
    positions, _ = two_groups(group_N, 10, 0, 0)
    small = positions[group_N[positions] == 1]
    assert len(small) == 30
    assert (np.bincount(small, minlength=60)[50:] == 3).all()


def test_a_group_smaller_than_half_a_batch_is_repeated() -> None:
    positions, _ = two_groups(np.array([0, 1, 1, 1]), 8, 0, 0)
    assert positions.shape == (1, 8)
    assert (positions == 0).sum() == 4


def test_groups_drawn_for_each_sample() -> None:
    positions = np.stack([any_groups(UNEQUAL, 20, 0, epoch) for epoch in range(20)])
    assert positions.shape == (20, 25, 20)
    counts = np.bincount(UNEQUAL[positions].ravel())
    assert np.abs(counts - 10000 / 3).max() < 250
    assert len({tuple(np.bincount(UNEQUAL[batch], minlength=3)) for batch in positions[0]}) > 3


def test_the_draw_is_of_seed_and_epoch() -> None:
    first, again, other, later = (two_groups(UNEQUAL, 10, *at)[0] for at in ((0, 0), (0, 0), (1, 0), (0, 1)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, later)
