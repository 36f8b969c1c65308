import numpy as np

from probe.solvers.batches import balanced


def test_a_batch_is_half_of_each_of_two_distinct_groups() -> None:
    group_N = np.repeat([0, 1, 2], [400, 30, 70])
    draw = balanced(group_N, 3, 20, seed=0)
    counts = np.zeros(3, int)
    for _ in range(20):
        positions, groups = next(draw)
        assert positions.shape == (25, 20)
        assert (groups[:, 0] != groups[:, 1]).all()
        assert np.array_equal(group_N[positions], np.repeat(groups, 10, axis=1))
        counts += np.bincount(groups.ravel(), minlength=3)
    assert counts.sum() == 1000
    assert np.abs(counts - 1000 / 3).max() < 60  # uniform, whatever the groups' sizes


def test_every_row_of_a_group_is_seen_before_any_is_seen_again() -> None:
    group_N = np.repeat([0, 1], [50, 10])
    draw = balanced(group_N, 2, 10, seed=0)
    seen = np.concatenate([next(draw)[0].ravel() for _ in range(10)])
    small = seen[group_N[seen] == 1]
    assert len(small) == 300
    assert (np.bincount(small, minlength=60)[50:] == 30).all()


def test_a_group_smaller_than_half_a_batch_is_repeated_and_the_seed_draws() -> None:
    group_N = np.array([0, 1, 1, 1])
    positions, _ = next(balanced(group_N, 2, 8, seed=0))
    assert positions.shape == (1, 8)
    big = np.repeat([0, 1], 50)
    first, again, other = (next(balanced(big, 2, 10, seed))[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
