"""Which set a name means: of the present samples; by a fingerprint, in every split."""

from dataclasses import replace

import numpy as np
import pytest

from store import open_features
from store.errors import AmbiguousFeatures, MissingFeatures
from store.fingerprint import Fingerprint
from store.keys import FeatureKey
from store.listing import Listing, write_listing
from store.opening import open_set
from store.root import Root
from store.samples import Samples, Targets
from store.writer import FeatureWriter


def add(root: Root, split: str, count: int, *, backbone: str = "a", **parts: object) -> FeatureWriter:
    samples = Samples("toy", split, [f"{split}{i}" for i in range(count)], np.full(count, 9))
    samples = replace(samples, targets={"label": Targets("label", ("x", "y"), np.arange(count) % 2)})
    fingerprint = Fingerprint(
        weights="w", architecture="made", layer="features", pooling="avg", recipe={"view": 0}, precision="fp32",
        dtype="float32", samples=samples.id,
    )  # fmt: skip
    fingerprint = replace(fingerprint, **parts)
    writer = FeatureWriter(root, FeatureKey("toy", split, backbone), fingerprint, samples, 2)
    writer.write(0, np.full((count, 2), count, np.float32), np.zeros((count, 16), np.uint8))
    writer.commit({})
    return writer


def test_the_present_samples_are_meant(root: Root) -> None:
    old, new = (add(root, "train", count) for count in (4, 5))
    with pytest.raises(AmbiguousFeatures, match="they differ in samples"):
        open_set(root, "toy", "train", "a")
    write_listing(root, Listing("toy", "toy", "", {"train": new.samples.id}))
    assert open_set(root, "toy", "train", "a").shape == (5, 2)
    assert open_set(root, "toy", "train", f"a@{old.fingerprint.hex[:6]}").shape == (4, 2)
    write_listing(root, Listing("toy", "toy", "", {"train": "f" * 64}))
    with pytest.raises(MissingFeatures, match=r"only new images go .* --backbone a --dataset toy --store"):
        open_set(root, "toy", "train", "a")


def test_a_fingerprint_of_one_split_means_the_same_network_in_the_others(root: Root) -> None:
    """The advice of an ambiguous name works, for every split at once."""
    for split, count in (("train", 4), ("test", 6)):
        add(root, split, count)
        add(root, split, count, weights="v")
    with pytest.raises(AmbiguousFeatures) as error:
        open_features(root, "toy", "train", "a")
    for line in str(error.value).splitlines()[1:3]:
        name = line.split()[0]
        (train,), (test,) = (open_features(root, "toy", split, name).parts for split in ("train", "test"))
        assert train.manifest.parts["weights"] == test.manifest.parts["weights"]


def test_of_precisions_the_same_one_is_preferred(root: Root) -> None:
    picked = add(root, "train", 4, precision="bf16")
    add(root, "test", 6)
    name = f"a@{picked.fingerprint.hex[:8]}"
    assert open_set(root, "toy", "test", name).manifest.parts["precision"] == "fp32", "there is no other"
    add(root, "test", 6, precision="bf16")
    assert open_set(root, "toy", "test", name).manifest.parts["precision"] == "bf16"


def test_imported_sets_of_each_split_have_weights_of_their_own(root: Root) -> None:
    imported = {"architecture": "imported", "precision": "unknown"}
    picked = add(root, "train", 4, weights="1", **imported)
    add(root, "train", 4, weights="2", **imported)
    add(root, "test", 6, weights="3", **imported)
    assert open_set(root, "toy", "test", f"a@{picked.fingerprint.hex[:8]}").manifest.parts["weights"] == "3"


def test_a_split_that_went_opens_by_its_fingerprint_only(root: Root) -> None:
    writer = add(root, "val", 4)
    write_listing(root, Listing("toy", "toy", "", {"train": "", "test": ""}, {}, "today"))
    with pytest.raises(MissingFeatures, match=r"toy has no split 'val' any more \(today: train, test\)") as error:
        open_set(root, "toy", "val", "a")
    name = f"a@{writer.fingerprint.hex[:8]}"
    assert name in str(error.value)
    assert open_set(root, "toy", "val", name).shape == (4, 2)


def test_digits_that_no_fingerprint_begins_with(root: Root) -> None:
    writer = add(root, "train", 4)
    have = f"a@{writer.fingerprint.hex[:8]}"
    with pytest.raises(MissingFeatures, match=f"no fingerprint of toy/train/a .* begins with '0000'; there is: {have}"):
        open_set(root, "toy", "train", "a@0000")
