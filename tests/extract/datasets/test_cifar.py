import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from extract.datasets import open_dataset
from store.errors import BadValue, UnknownName

Make = Callable[[str], Path]


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_pictures_and_labels_are_those_that_torchvision_reads(
    make: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import datasets

    root = make(name)
    theirs = getattr(datasets, name.upper())
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_args: True)
    for split in ("train", "test"):
        images, want = open_dataset(name, split, root), theirs(root / "cifar", train=split == "train")
        assert len(images.samples) == len(want) > 0
        assert images.samples.label.tolist() == want.targets
        assert list(images.samples.targets["label"].classes) == want.classes
        for row in (0, 57, len(want) - 1):
            assert np.array_equal(images.read(row % len(want)), np.asarray(want[row % len(want)][0]))
    if name == "cifar100":
        assert images.samples.targets["coarse"].index[:21].tolist() == [*range(20), 0]


def test_per_cent_parts_are_the_first_of_upstreams_order(make: Make) -> None:
    order = np.random.RandomState(0).permutation(50000).tolist()
    assert order[:5] == [11841, 19602, 45519, 25747, 42642]  # as TjuJianyu/RRL src/datasets.py begins its list
    digest = hashlib.sha256(json.dumps(order).encode()).hexdigest()
    assert digest == "d7511d013058c0feb624f2030249438d48cc5522cc8000e223f70b246b987af8"
    root = make("cifar10")
    whole, part = open_dataset("cifar10", "train", root), open_dataset("cifar10", "train_10perc", root)
    rows = np.random.RandomState(0).permutation(100)[:10]
    assert part.samples.ids == [whole.samples.ids[row] for row in rows]
    assert part.samples.label.tolist() == whole.samples.label[rows].tolist()
    assert np.array_equal(part.read(3), whole.read(int(rows[3])))
    with pytest.raises(UnknownName, match=r"'train_4perc'; nearest: .*train_1perc"):
        open_dataset("cifar10", "train_4perc", root)


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch hostile",)


def test_what_is_no_batch_is_refused_and_never_run(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        BadValue, match=r"cifar-10-batches-py does not exist.*--download; or unpack cifar-10-python.tar.gz"
    ):
        open_dataset("cifar10", "test", tmp_path)
    batch = make("cifar10") / "cifar/cifar-10-batches-py/test_batch"
    whole = batch.read_bytes()
    for data, why in (
        (pickle.dumps({"data": Hostile()}), "it asks for (posix|nt).system, which no data needs"),
        (whole[:5000], "cannot be read, fetch it again"),
        (pickle.dumps([1]), "holds a list, not a batch"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8)}, 2), "does not hold cifar10: KeyError 'labels'"),
    ):
        batch.write_bytes(data)
        with pytest.raises(BadValue, match=why):
            open_dataset("cifar10", "test", tmp_path)
    assert not (tmp_path / "hostile").exists()
    batch.unlink()
    with pytest.raises(BadValue, match="test_batch: No such file"):
        open_dataset("cifar10", "test", tmp_path)
