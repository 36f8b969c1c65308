import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from extract.datasets import open_dataset, warn_once
from extract.datasets.imagenet import class_names
from store.errors import BadValue

Make = Callable[[str], Path]


def test_labels_are_those_of_torchvisions_folders(make: Make) -> None:
    from torchvision.datasets import ImageFolder

    root = make("imagenet")
    for split in ("train", "val"):
        images, want = open_dataset("imagenet", split, root), ImageFolder(root / "imagenet" / split)
        assert images.samples.ids == [str(Path(name).relative_to(want.root)) for name, _ in want.samples]
        assert images.samples.label.tolist() == want.targets
        assert images.samples.targets["label"].classes[:4] == tuple(want.classes)
        assert images.read(3) == Path(want.samples[3][0]).read_bytes()


def test_the_classes_of_a_test_set_are_its_mask() -> None:
    everything, digests = class_names("imagenet"), []
    assert len(everything) == 1000
    assert everything == tuple(sorted(everything)) == class_names("imagenetv2") == class_names("imagenet-sketch")
    for name, first, last in (("imagenet-a", "n01498041", "n12267677"), ("imagenet-r", "n01443537", "n12267677")):
        covered = class_names(name)
        assert (len(covered), covered[0], covered[-1]) == (200, first, last)
        assert set(covered) <= set(everything)
        digests.append(hashlib.sha256(" ".join(covered).encode()).hexdigest()[:16])
    assert digests == ["ff8c384504d3ec59", "354baa0a46566aa6"]  # of TjuJianyu/RRL src/datasets.py's lists
    assert len(set(class_names("imagenet-a")) & set(class_names("imagenet-r"))) == 86


def test_the_numbers_of_v2_are_classes_and_not_sorted_as_texts(make: Make) -> None:
    images = open_dataset("imagenetv2", "test", make("imagenetv2"))
    for row, sample in enumerate(images.samples.ids):
        assert images.samples.label[row] == int(sample.partition("/")[0])
    assert images.samples.label.max() == 11


@pytest.mark.parametrize(("name", "count"), [("imagenet-sketch", 12), ("imagenet-a", 12), ("imagenet-r", 12)])
def test_the_other_test_sets_keep_wordnet_ids(make: Make, name: str, count: int) -> None:
    samples = open_dataset(name, "test", make(name)).samples
    assert len(samples) == count
    for row, sample in enumerate(samples.ids):
        assert samples.targets["label"].classes[samples.label[row]] == sample.partition("/")[0]


def test_a_part_names_its_own_archive(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"Unpack imagenetv2-threshold0\.7\.tar\.gz of"):
        open_dataset("imagenetv2", "test_threshold", tmp_path)


def test_half_an_archive_is_told_of(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    root = make("imagenet-a")
    warn_once.cache_clear()
    for _ in range(2):
        open_dataset("imagenet-a", "test", root)
    assert caplog.text.count("were published") == 1
    assert "imagenet-a/test: 12 images, 7500 were published; what is missing: python -m extract.dow" in caplog.text


def test_what_is_missing_or_strange_is_named(make: Make, tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"imagenet/train does not exist\. Log in at https://image-net\.org"):
        open_dataset("imagenet", "train", tmp_path)
    val = make("imagenet") / "imagenet/val"
    (val / "n99999999").mkdir()
    with pytest.raises(BadValue, match="n99999999: no class of imagenet; its folders are like n01440764"):
        open_dataset("imagenet", "val", tmp_path)
    shutil.rmtree(val)
    val.mkdir()
    (val / "ILSVRC2012_val_00000001.JPEG").write_bytes(b"")
    with pytest.raises(BadValue, match="val has no class folders"):
        open_dataset("imagenet", "val", tmp_path)
