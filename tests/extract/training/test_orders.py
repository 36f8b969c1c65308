import numpy as np
import pytest
import torch

from extract.training.orders import order_of
from store.errors import BadValue

ROWS = np.flatnonzero(np.arange(120) % 4)
GROUPS = torch.from_numpy(np.repeat([0, 1, 2, -1], [60, 20, 30, 10]))


def test_erm_sees_every_row_once() -> None:
    seen = order_of("erm", ROWS, None, 10, 0)(0)
    assert sorted(seen.ravel()) == ROWS.tolist()


def test_vrex_sees_two_groups_in_halves_and_groupdro_any() -> None:
    rows = ROWS[GROUPS.numpy()[ROWS] >= 0]
    two, some = (order_of(name, rows, GROUPS, 10, 0)(3) for name in ("vrex", "groupdro"))
    assert two.shape == some.shape == (len(rows) // 10, 10)
    assert set(two.ravel()) | set(some.ravel()) <= set(rows.tolist())
    halves = GROUPS.numpy()[two].reshape(-1, 2, 5)
    assert (halves == halves[:, :, :1]).all()
    assert (halves[:, 0, 0] != halves[:, 1, 0]).all()
    assert len(np.unique(GROUPS.numpy()[some])) == 3


def test_mistakes() -> None:
    with pytest.raises(BadValue, match="--objective groupdro needs --group COLUMN"):
        order_of("groupdro", ROWS, None, 10, 0)
    with pytest.raises(BadValue, match="--batch 9: half of it is of each of 2 groups"):
        order_of("vrex", ROWS, GROUPS, 9, 0)
