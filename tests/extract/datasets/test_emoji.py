import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from extract.datasets import DATASETS, open_dataset
from extract.images.decoding import decode
from store.errors import BadValue

Make = Callable[[str], Path]


def test_an_emoji_is_in_one_split_in_all_styles(make: Make) -> None:
    root = make("emoji")
    where: dict[str, set[str]] = {}
    for split in DATASETS["emoji"].splits:
        samples = open_dataset("emoji", split, root).samples
        names = samples.targets["emoji"]
        for name in np.unique(names.index):
            where.setdefault(names.classes[name], set()).add(split)
        assert np.bincount(samples.targets["style"].index).tolist() == [len(samples) // 3] * 3
        assert samples.targets["style"].classes == ("google", "twitter", "openmoji")
    assert len(where) > 300
    assert all(len(splits) == 1 for splits in where.values())


def test_one_style_of_a_split(make: Make) -> None:
    root = make("emoji")
    whole, part = open_dataset("emoji", "test", root), open_dataset("emoji", "test_twitter", root)
    rows = np.flatnonzero(whole.samples.targets["style"].index == 1)
    assert part.samples.ids == [whole.samples.ids[row] for row in rows]
    assert all(sample.startswith("twitter-16.0.0/") for sample in part.samples.ids)
    assert part.read(0) == whole.read(int(rows[0]))
    assert decode(part.read(0)).shape == (3, 64, 64)
    assert open_dataset("emoji", "test_openmoji", root).read(0).shape == (128, 128, 3)


def test_an_unpacked_package_is_the_same(make: Make, tmp_path: Path) -> None:
    root = make("emoji")
    want = open_dataset("emoji", "val", root)
    for style in ("google", "twitter"):
        archive = root / f"emoji/emoji-datasource-{style}-16.0.0.tgz"
        with tarfile.open(archive) as tar:
            tar.extractall(tmp_path / style, filter="data")
        shutil.move(tmp_path / style / "package", root / f"emoji/node_modules/emoji-datasource-{style}")
        archive.unlink()
    found = open_dataset("emoji", "val", root)
    assert found.samples.id == want.samples.id
    assert found.read(0) == want.read(0)


def test_a_missing_or_damaged_package_is_named(make: Make, tmp_path: Path) -> None:
    with pytest.raises(
        BadValue, match=r"no emoji-datasource-google-16\.0\.0\.tgz in .*npm pack emoji-datasource-google@16\.0\.0"
    ):
        open_dataset("emoji", "train", tmp_path)
    archive = make("emoji") / "emoji/emoji-datasource-twitter-16.0.0.tgz"
    archive.write_bytes(archive.read_bytes()[:9000])
    with pytest.raises(BadValue, match=r"twitter-16\.0\.0\.tgz: not a whole archive .*; fetch it again"):
        open_dataset("emoji", "train", tmp_path)
    archive.unlink()
    folder = tmp_path / "emoji/emoji-datasource-twitter"
    folder.mkdir()
    (folder / "emoji.json").write_text(json.dumps([{"name": "x"}]))
    with pytest.raises(BadValue, match="emoji-datasource-twitter is not the npm package of emoji: KeyError 'category'"):
        open_dataset("emoji", "train", tmp_path)
