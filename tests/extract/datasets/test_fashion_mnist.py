import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from extract.datasets import fashion_mnist, open_dataset
from store.errors import BadValue

Make = Callable[[str], Path]


def test_pictures_and_labels_are_those_that_torchvision_reads(make: Make) -> None:
    from torchvision.datasets import FashionMNIST

    root = make("fashion_mnist")
    raw = root / "fashion_mnist/FashionMNIST/raw"
    raw.mkdir(parents=True)
    for file in (root / "fashion_mnist").glob("*.gz"):  # as torchvision unpacks them
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    for split in ("train", "test"):
        images, want = open_dataset("fashion_mnist", split, root), FashionMNIST(raw.parents[1], train=split == "train")
        assert images.samples.label.tolist() == want.targets.tolist()
        assert list(images.samples.targets["label"].classes) == want.classes
        assert np.array_equal(images.read(7), np.asarray(want[7][0].convert("RGB")))


def test_what_is_no_idx_file_is_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make("fashion_mnist")
    labels = root / "fashion_mnist/t10k-labels-idx1-ubyte.gz"
    whole = labels.read_bytes()
    idx = gzip.decompress(whole)
    for data, why in (
        (whole[:20], "cannot be read"),
        (b"hello", "cannot be read: Not a gzipped file"),
        (gzip.compress(b"\0\0\x0d\1" + idx[4:]), r"not an IDX file of bytes with 1 dimension"),
        (gzip.compress(idx[:-1]), "holds fewer bytes than the 30"),
        (gzip.compress(idx + b"\0"), "holds more bytes than the 30"),
        (gzip.compress(idx[:4] + b"\xff" * 4 + idx[8:]), "holds fewer bytes than the 4294967295"),
        (gzip.compress(idx[:4] + (29).to_bytes(4, "big") + idx[8:-1]), "has 30 images, .* 29 labels"),
    ):
        labels.write_bytes(data)
        with pytest.raises(BadValue, match=why):
            open_dataset("fashion_mnist", "test", root)
    labels.unlink()
    monkeypatch.setattr(fashion_mnist, "DEBIAN", root / "nowhere")
    with pytest.raises(
        BadValue, match=r"no t10k-labels-idx1-ubyte or .*\.gz in .*apt-get install dataset-fashion-mnist"
    ):
        open_dataset("fashion_mnist", "test", root)
