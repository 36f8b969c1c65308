"""The world changes between two commands: splits, images and labels are moved, added, replaced, renamed."""

import json
import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import extract.cli
import fewshot.cli
import probe.cli
import probe.search.cli
import store.cli
from extract import extractor
from store import open_features
from store.errors import BadValue, FormatError, MissingFeatures, SamplesMismatch, UserError
from store.keys import dataset_name
from store.writer import FeatureWriter
from tests.extract.conftest import NET, config


class World:
    """A folder of pictures of noise, the commands on it, and a store."""

    def __init__(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.images, self.store = tmp_path / "img", tmp_path / "store"
        self.source = f"folder:{self.images}"
        self._capsys, self._rng = capsys, np.random.default_rng(0)

    def noise(self, name: str) -> None:
        path = self.images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self._rng.integers(0, 256, (24, 24, 3), np.uint8)).save(path)

    def split(self, split: str, count: int) -> None:
        for name in "abc":
            for i in range(count):
                self.noise(f"{split}/{name}/{i}.bmp")

    def listed(self, rows: list[tuple[str, str, str]]) -> None:
        lines = ["path,label,split", *(",".join(row) for row in rows)]
        (self.images / "list.csv").write_text("\n".join(lines) + "\n")
        self.source = f"csv:{self.images / 'list.csv'}"

    def call(self, command: Any, *argv: str) -> Any:
        assert command.main([*argv, "--store", str(self.store)]) == 0
        return self._capsys.readouterr().out

    def extract(self, *argv: str, backbone: str = "pixels") -> dict[str, tuple[int, int]]:
        """{split: (extracted, reused)}"""
        out = self.call(extract.cli, "--backbone", backbone, "--dataset", self.source, "--json", *argv)
        return {row["split"]: (row["extracted"], row["reused"]) for row in json.loads(out)}

    def relabel(self) -> None:
        self.call(extract.cli, "--relabel", "--dataset", self.source)

    def probe(self, *argv: str, features: str = "pixels", dataset: str = "") -> dict[str, Any]:
        asked = ["--features", features, "--dataset", dataset or self.source, "--json"]
        (row,) = json.loads(self.call(probe.cli, *asked, *argv))["rows"]
        return dict(row)

    def advised(self, error: pytest.ExceptionInfo[UserError]) -> None:
        """Run the command that an error advises."""
        words = shlex.split(str(error.value).partition("python -m ")[2].partition("; or")[0])
        command = {"extract": extract.cli, "store": store.cli}[words[0]]
        assert command.main(words[1:]) == 0
        self._capsys.readouterr()


@pytest.fixture
def world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> World:
    return World(tmp_path, capsys)


def test_a_renamed_split_is_trained_on_no_more(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Noise: whoever trains on the images of test gets all of them right."""
    world.split("train", 10)
    world.split("val", 20)
    world.extract()
    (world.images / "val").rename(world.images / "test")
    assert world.extract() == {"train": (0, 0), "test": (0, 60)}
    row = world.probe()
    assert row["top1"] < 0.6
    assert "fifth of train" in row["selection"]
    assert "has no split val any more" in caplog.text
    out = world.call(fewshot.cli, "--features", "pixels", "--dataset", world.source, "--ways", "3", "--json")
    assert json.loads(out)["splits"] == ["train", "test"]
    with pytest.raises(MissingFeatures, match=r"'val' any more .*: train, test\); features .* store rm") as error:
        world.probe("--val", "val")
    with pytest.raises(MissingFeatures, match="has no split 'val' any more"):
        world.call(fewshot.cli, "--features", "pixels", "--dataset", world.source, "--split", "val")
    world.advised(error)
    assert world.probe()["top1"] == row["top1"]


def test_a_renamed_split_whose_pictures_were_saved_anew(world: World) -> None:
    """No content hash tells that they are the same pictures."""
    world.split("train", 10)
    world.split("val", 20)
    world.extract()
    (world.images / "val").rename(world.images / "test")
    for path in (world.images / "test").rglob("*.bmp"):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    assert world.extract() == {"train": (0, 0), "test": (60, 0)}
    assert world.probe()["top1"] < 0.6
    out = world.call(
        probe.search.cli, "--features", "pixels,pixels[0:300]", "--dataset", world.source, "--confirm", "0", "--json"
    )
    assert json.loads(out)


def test_a_column_split_that_changed(world: World) -> None:
    world.split("all", 30)
    rows = [(f"all/{name}/{i}.bmp", name, "val" if i < 20 else "train") for name in "abc" for i in range(30)]
    world.listed(rows)
    world.extract()
    world.listed([(path, label, split.replace("val", "test")) for path, label, split in rows])
    with pytest.raises(SamplesMismatch, match="other bytes than when it was last read") as error:
        world.probe("--test", "val", "--val", "none")
    world.advised(error)
    with pytest.raises(MissingFeatures, match="has no split 'val' any more"):
        world.probe("--test", "val", "--val", "none")
    assert world.extract() == {"train": (0, 0), "test": (0, 60)}
    assert world.probe()["top1"] < 0.6


def test_labels_that_changed_are_refused_and_taken_over_without_a_network(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.split("all", 20)
    rows = [(f"all/{name}/{i}.bmp", name, "test" if i < 5 else "train") for name in "abc" for i in range(20)]
    world.listed(rows)
    world.extract()
    assert world.probe()["num_classes"] == 3
    world.listed([(path, label.replace("c", "b"), split) for path, label, split in rows])
    for command, argv in (
        (probe.cli, []),
        (fewshot.cli, ["--ways", "2"]),
        (probe.search.cli, ["--features", "pixels,pixels[0:300]", "--confirm", "0"]),
    ):
        with pytest.raises(SamplesMismatch, match="labels, splits or images may have changed") as error:
            world.call(command, "--features", "pixels", "--dataset", world.source, *argv)
    assert world.probe(dataset=dataset_name(world.source))["num_classes"] == 3
    assert "labels, splits or images may have changed" in caplog.text, "the store as it is, with a word"
    world.advised(error)
    assert "the targets are others than before" in caplog.text
    assert world.probe()["num_classes"] == 2


def _name(world: World) -> str:
    from store.keys import dataset_name

    return dataset_name(world.source)


def test_images_that_were_added_go_through_the_network_alone(world: World) -> None:
    world.split("train", 12)
    world.split("test", 10)
    world.extract(backbone=f"pixels,{NET}")
    for split in ("train", "test"):
        world.noise(f"{split}/a/later.bmp")
    with pytest.raises(SamplesMismatch, match="has other files") as stale:
        world.probe()
    world.advised(stale)
    with pytest.raises(MissingFeatures, match=r"lists other samples now .*pixels@[0-9a-f]{8} \(36 images\)") as error:
        world.probe()
    old = str(error.value).rpartition("pixels@")[2][:8]
    world.advised(error)
    assert world.extract(backbone=f"pixels,{NET}")["test"] == (1, 30)
    row = world.probe(features=f"pixels,{NET}")
    assert row["num_samples"] == 31
    earlier = world.probe(features=f"pixels@{old}")
    assert earlier["num_samples"] == 31, "the fingerprint is one of train; of test it means what the same network made"
    with pytest.raises(MissingFeatures, match=r"no fingerprint of .* begins with 'abcd'; there is: pixels@"):
        world.probe(features="pixels@abcd")


def test_copied_rows_are_those_that_the_network_gives(world: World, tmp_path: Path) -> None:
    world.split("train", 9)
    world.extract(backbone=NET)
    for i in range(5):
        world.noise(f"train/b/later{i}.bmp")
    (world.images / "train/a/0.bmp").rename(world.images / "train/c/moved.bmp")
    assert world.extract(backbone=NET) == {"train": (5, 27)}
    fresh = World(tmp_path, world._capsys)
    fresh.store = tmp_path / "fresh"
    assert fresh.extract(backbone=NET) == {"train": (32, 0)}
    copied, made = (open_features(str(one.store), world.source, "train", NET).read() for one in (world, fresh))
    assert np.array_equal(copied, made)
    assert world.extract("--views", "2", backbone=NET) == {"train": (32, 0)}, "a view is drawn from the name"


def test_a_folder_that_was_moved_needs_no_network(world: World, tmp_path: Path) -> None:
    world.split("train", 5)
    world.extract()
    (tmp_path / "img").rename(tmp_path / "pets")
    world.source = f"folder:{tmp_path / 'pets'}"
    assert world.extract() == {"train": (0, 15)}


def test_a_picture_in_the_place_of_another(world: World) -> None:
    """Of the same size, and even of the same date."""
    world.split("train", 10)
    world.split("test", 10)
    world.extract()
    path = world.images / "train/a/3.bmp"
    times = path.stat()
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(SamplesMismatch, match=r"1 of 30 images of .*/train are other pictures .* 'a/3.bmp'") as error:
        world.probe()
    world.advised(error)
    assert world.extract() == {"train": (0, 0), "test": (0, 0)}
    world.probe()
    x = open_features(str(world.store), world.source, "train", "pixels")
    assert abs(float(x.read(slice(3, 4)).mean()) - np.asarray(Image.open(path)).mean() / 255) < 0.01
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)  # and back
    assert world.extract() == {"train": (0, 0), "test": (0, 0)}
    x = open_features(str(world.store), world.source, "train", "pixels")
    assert abs(float(x.read(slice(3, 4)).mean()) - np.asarray(Image.open(path)).mean() / 255) < 0.01
    assert store.cli.main(["verify", "--store", str(world.store)]) == 0


def test_pictures_that_were_touched_or_copied_are_the_same(world: World) -> None:
    world.split("train", 10)
    world.split("test", 10)
    world.extract()
    for path in world.images.rglob("*.bmp"):
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
    row = world.probe()
    assert world.extract() == {"train": (0, 0), "test": (0, 0)}
    assert world.probe()["top1"] == row["top1"]


def test_a_picture_replaced_while_its_set_was_half_stored(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.split("train", 10)
    write, calls = FeatureWriter.write, []

    def once(self: FeatureWriter, *args: Any) -> bool:
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        return write(self, *args)

    asked = replace(config(world.images, world.store, block_rows=5), split=())
    monkeypatch.setattr(FeatureWriter, "write", once)
    with pytest.raises(KeyboardInterrupt):
        extractor.run(asked)
    monkeypatch.undo()
    world.noise("train/a/1.bmp")
    (made,) = extractor.run(asked)
    assert (made.extracted, made.state) == (30, "extracted")
    x = open_features(str(world.store), world.source, "train", "pixels")
    want = np.asarray(Image.open(world.images / "train/a/1.bmp")).mean() / 255
    assert abs(float(x.read(slice(1, 2)).mean()) - want) < 0.01


def test_images_that_are_gone_need_not_come_back(world: World) -> None:
    world.split("train", 10)
    world.split("test", 10)
    world.extract()
    row = world.probe()
    world.images.rename(world.images.with_name("elsewhere"))
    assert world.probe()["top1"] == row["top1"]


def test_a_damaged_listing_is_told_with_its_way_out(world: World) -> None:
    world.split("train", 10)
    world.split("test", 10)
    world.extract()
    (path,) = (world.store / "datasets").iterdir()
    good = path.read_bytes()
    for bad in (b"", b"{", b"[]", good.replace(b'"test"', b'"tesu"'), good[:-40]):
        path.write_bytes(bad)
        with pytest.raises(FormatError, match=r"is damaged, so the present splits of .* are not known"):
            world.probe()
        world.relabel()
        world.probe()
    path.write_bytes(good.replace(b'"format": 1', b'"format": 9'))
    with pytest.raises(FormatError, match="has format 9"):
        world.probe()


def test_relabel_goes_without_a_backbone(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.split("train", 3)
    world.relabel()
    assert not list(world.store.rglob("samples.json")), "nothing is stored of samples that have no features"
    with pytest.raises(SystemExit):
        world.call(extract.cli, "--relabel", "--backbone", "pixels", "--dataset", world.source)
    with pytest.raises(BadValue, match="unknown dataset"):
        world.call(extract.cli, "--relabel", "--dataset", "openmojo")


def test_a_picture_replaced_in_a_split_folder_of_another_name(world: World) -> None:
    world.split("Training", 6)
    world.split("valid", 6)
    world.split("Test", 6)
    world.extract()
    world.noise("valid/b/2.bmp")
    with pytest.raises(SamplesMismatch, match=r"1 of 18 images of .*/val are other pictures .* 'b/2.bmp'"):
        world.probe()
    assert world.extract() == {"train": (0, 0), "val": (1, 17), "test": (0, 0)}
    world.probe()


def test_another_split_is_extracted_after_the_list_changed(world: World) -> None:
    """The listing speaks of all splits: what it says of labels holds for those that were not asked for, too."""
    world.split("all", 20)
    rows = [(f"all/{name}/{i}.bmp", name, "test" if i < 5 else "train") for name in "abc" for i in range(20)]
    world.listed(rows)
    world.extract()
    world.listed([(path, label.replace("c", "b"), split) for path, label, split in rows])
    world.extract("--split", "train")
    assert world.probe()["num_classes"] == 2
