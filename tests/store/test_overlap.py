"""Images on two sides of a comparison."""

import numpy as np
import pytest

from store.concat import Concat
from store.errors import BadValue, DamagedFeatures, FormatError
from store.features import FeatureSet
from store.overlap import check_apart, kept_together

X = np.ones((4, 2), np.float32)
Y = np.array([0, 0, 1, 1])


def _sides(**sets):
    return {role: (Concat([one]), np.arange(4)) for role, one in sets.items()}


def test_the_same_bytes_under_other_names_are_refused(make_set, monkeypatch) -> None:
    sides = _sides(train=make_set(X, {"label": Y}), test=make_set(X, {"label": Y}, split="test"))
    assert check_apart(sides, allowed=False) == {}
    hashes = sides["train"][0].parts[0].content.read(slice(None))
    test = sides["test"][0].parts[0]
    other = np.arange(64, dtype=np.uint8).reshape(4, 16) + 1
    other[3] = hashes[1]
    monkeypatch.setitem(vars(test), "content_hashes", other.view("V16").ravel())
    with pytest.raises(BadValue, match=r"1 of 4 images of toy/test .* 'test/000003.png' = 'train/000001.png'"):
        check_apart(sides, allowed=False)
    assert check_apart(sides, allowed=True) == {"train/test": 1}
    other[3] = 0  # imported: never seen
    assert check_apart(sides, allowed=False) == {}


def test_a_unit_on_two_sides_is_refused(make_set) -> None:
    units = {"unit": ["p", "q"]}
    sides = _sides(
        train=make_set(X, {"label": Y, "unit": np.array([0, 0, 1, -1])}, classes=units),
        test=make_set(X, {"label": Y, "unit": np.array([1, -1, -1, 1])}, split="test", classes=units),
    )
    with pytest.raises(BadValue, match=r"2 of 4 images .* of a unit .* 'q'"):
        check_apart(sides, allowed=False)
    assert check_apart(sides, allowed=True) == {"train/test": 2}


def test_what_stands_together(make_set) -> None:
    one = make_set(X, {"label": Y, "unit": np.array([0, 1, 0, -1])})
    assert kept_together([(Concat([one]), np.arange(4))]).tolist() == [0, 1, 0, 3]
    assert kept_together([(Concat([one]), np.array([0, 1, 3]))]) is None


def test_content_hashes_of_another_split_are_refused(root, make_set) -> None:
    small = make_set(np.zeros((3, 2), np.float32), {"label": np.arange(3) % 2}, split="test")
    large = make_set(np.zeros((9, 2), np.float32), {"label": np.arange(9) % 2}, split="train")
    root.put(f"{large.folder}/content/zarr.json", root.get(f"{small.folder}/content/zarr.json"))
    with pytest.raises(FormatError, match=r"content has 3 rows, the manifest says 9; run `python -m store verify"):
        _ = large.content


def test_content_hashes_that_were_changed_are_refused(root, make_set) -> None:
    """One image's hash is replaced by another's, under a checksum that fits: only the manifest knows."""
    stored = make_set(np.zeros((9, 2), np.float32), {"label": np.arange(9) % 2})
    rows = np.array(stored.content.read(slice(None)))
    rows[0] = rows[1]
    stored.content.write_block(0, rows)
    with pytest.raises(DamagedFeatures, match="content is not what the manifest says"):
        check_apart({"train": (Concat([FeatureSet(root, stored.folder)]), np.arange(9))}, allowed=False)
