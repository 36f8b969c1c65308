import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from extract.datasets import open_dataset
from store.errors import BadImage, BadValue

Make = Callable[[str], Path]


def test_labels_are_the_sorted_directories_as_upstream_has_them(make: Make) -> None:
    root = make("inat18")
    for split in ("train", "val"):
        samples = open_dataset("inat18", split, root).samples
        listed = [image["file_name"] for image in json.loads((root / f"inat18/{split}2018.json").read_text())["images"]]
        assert samples.ids == listed
        targets = ["/".join(name.split("/")[:-1]) for name in listed]  # TjuJianyu/RRL src/datasets.py
        unique = np.sort(np.unique(np.array(targets)))
        assert samples.label.tolist() == [int(np.searchsorted(unique, target)) for target in targets]
        assert samples.targets["supercategory"].classes == ("Aves", "Insecta", "Plantae")
    assert samples.targets["label"].classes[:3] == tuple(f"train_val2018/Aves/{i}" for i in (32, 57, 7))


def test_8142_classes(tmp_path: Path) -> None:
    names = [f"train_val2018/Plantae/{i}/x.jpg" for i in range(8142)]
    (tmp_path / "inat18").mkdir()
    for split in ("train", "val"):
        (tmp_path / f"inat18/{split}2018.json").write_text(json.dumps({"images": [{"file_name": n} for n in names]}))
    images = open_dataset("inat18", "val", tmp_path, allow_absent=True)
    assert len(images.absent) == len(images.samples.targets["label"].classes) == 8142
    assert sorted(images.samples.label.tolist()) == list(range(8142))


def test_images_that_are_listed_but_not_there(make: Make) -> None:
    root = make("inat18")
    first = open_dataset("inat18", "val", root).samples.ids[0]
    (root / "inat18" / first).unlink()
    with pytest.raises(BadImage, match=rf"inat18/val: 1 of 12 files are not below .*{first}"):
        open_dataset("inat18", "val", root)


def listing(*names: object) -> str:
    return json.dumps({"images": [{"file_name": name} for name in names]})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "train2018.json is not a list of iNaturalist: JSONDecodeError"),
        ("[1]", "is not a list of iNaturalist: TypeError"),
        ('{"images": [{}]}', "is not a list of iNaturalist: KeyError 'file_name'"),
        (listing(7), "is not a list of iNaturalist: AttributeError"),
        (listing("x.jpg"), "'x.jpg' is not train_val2018/SUPERCATEGORY/CATEGORY/NAME.jpg"),
        (listing("a/b/c/x.jpg", "a/b/c/x.jpg"), "inat18/train: 'a/b/c/x.jpg' is listed twice"),
        (listing("a/b/../../../../etc/passwd"), r"etc/passwd' is not a path below"),
        (listing(), "no images for the split train"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(BadValue, match=r"train2018.json does not exist. Fetch train_val2018\.tar\.gz"):
        open_dataset("inat18", "train", tmp_path)
    (tmp_path / "inat18").mkdir()
    (tmp_path / "inat18/train2018.json").write_text(text)
    with pytest.raises(BadValue, match=why):
        open_dataset("inat18", "train", tmp_path)


def test_a_class_that_train_has_not(tmp_path: Path) -> None:
    (tmp_path / "inat18").mkdir()
    (tmp_path / "inat18/train2018.json").write_text(listing("a/b/1/x.jpg"))
    (tmp_path / "inat18/val2018.json").write_text(listing("a/b/2/x.jpg"))
    with pytest.raises(BadValue, match=r"val2018\.json: train2018\.json has not all of its classes: .*'a/b/2'"):
        open_dataset("inat18", "val", tmp_path)
