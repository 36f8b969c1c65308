"""The listing of a dataset: what is written is read, what is damaged or leads out is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from store.errors import FormatError, NewerFormat
from store.fingerprint import sha256_json
from store.listing import Listing, adopt, is_retired, listing_key, read_listing, stored_splits, write_listing
from store.root import Root

ONE = Listing("toy", "folder:/somewhere", "d" * 64, {"train": "a" * 64, "test": ""}, {"train": "Training"}, "today")


def test_what_is_written_is_read(root: Root) -> None:
    assert read_listing(root, "toy") is None
    write_listing(root, ONE)
    assert read_listing(root, "toy") == ONE
    assert not is_retired(ONE, "test")
    assert is_retired(ONE, "val")
    assert not is_retired(None, "val")


@pytest.mark.parametrize(
    "wrong",
    [
        replace(ONE, splits={"train": "../../etc"}),
        replace(ONE, folders={"train": "/etc"}),
        replace(ONE, folders={"train": "a/../../b"}),
        replace(ONE, dataset="other"),
    ],
)
def test_one_that_leads_out_or_lies_elsewhere_is_refused(root: Root, wrong: Listing) -> None:
    write_listing(root, wrong)
    data = root.get(listing_key(wrong.dataset))
    root.put(listing_key("toy"), data)
    with pytest.raises(FormatError, match=r"datasets/toy.json is damaged"):
        read_listing(root, "toy")


def test_every_flipped_bit_is_seen(root: Root) -> None:
    write_listing(root, ONE)
    good = root.get(listing_key("toy"))
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 1
        root.put(listing_key("toy"), bytes(bad))
        try:
            found = read_listing(root, "toy")
        except FormatError:
            continue
        assert found == ONE, f"byte {at}: white space"


def test_a_later_format_is_told(root: Root) -> None:
    write_listing(root, ONE)
    values = json.loads(root.get(listing_key("toy")))
    del values["sha256"]
    values |= {"format": 2, "new": 1}
    root.put(listing_key("toy"), json.dumps({**values, "sha256": sha256_json(values)}).encode())
    with pytest.raises(NewerFormat, match="has format 2, this version reads up to 1"):
        read_listing(root, "toy")


def test_splits_of_today_the_usual_ones_first(root: Root, make_set) -> None:
    for split in ("novel", "test", "val", "train"):
        make_set(np.zeros((3, 2), np.float32), {"label": np.arange(3)}, split=split)
    assert stored_splits(root, "toy") == ["train", "val", "test", "novel"]
    write_listing(root, ONE)
    assert stored_splits(root, "toy") == ["train", "test"]
    adopt(root, "toy", {"val": "b" * 64})
    assert stored_splits(root, "toy") == ["train", "val", "test"]
    adopt(root, "other", {"val": "b" * 64})
    assert read_listing(root, "other") is None
