import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from extract.datasets import open_dataset
from extract.datasets.cub import part
from store.errors import BadValue

Make = Callable[[str], Path]


def test_classes_are_split_as_closer_look_few_shot_splits_them(make: Make) -> None:
    root = make("cub")
    found = {}
    for split in ("base", "val", "novel"):
        samples = open_dataset("cub", split, root).samples
        found[split] = sorted(set(samples.label.tolist()))
        assert all(
            sample.startswith(f"{label + 1:03d}.") for sample, label in zip(samples.ids, samples.label, strict=True)
        )
    assert found == {"base": list(range(0, 24, 2)), "val": list(range(1, 24, 4)), "novel": list(range(3, 24, 4))}
    parts = [part(i) for i in range(200)]
    assert [parts.count(name) for name in ("base", "val", "novel")] == [100, 50, 50]


def test_a_missing_class_would_move_the_others(make: Make, tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"CUB_200_2011/images does not exist\. Unpack CUB_200_2011\.tgz"):
        open_dataset("cub", "novel", tmp_path)
    shutil.rmtree(make("cub") / "cub/CUB_200_2011/images/003.Bird_C")
    with pytest.raises(BadValue, match=r"the class folder 003\.NAME is missing, '004\.Bird_D' is in its place"):
        open_dataset("cub", "novel", tmp_path)
