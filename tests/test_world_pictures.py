"""The world changes between two commands: images are added, moved, replaced."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import extract.cli
import store.cli
from extract import extractor
from store import open_features
from store.errors import MissingFeatures, SamplesMismatch
from store.writer import FeatureWriter
from tests.extract.conftest import NET, config
from tests.world import World


@pytest.fixture
def world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> World:
    return World(tmp_path, capsys)


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
    told = [line.rpartition("B  ")[2] for line in world.call(store.cli, "ls", "pixels").splitlines()[2:]]
    assert sorted(told) == ["committed", "committed", "committed, earlier samples", "committed, earlier samples"]
    earlier = world.probe(features=f"pixels@{old}")
    assert earlier["num_samples"] == 30, "the fingerprint is one of train; of test it means the images of that time"
    with pytest.raises(MissingFeatures, match=r"no fingerprint of .* begins with 'abcd'; there is: pixels@"):
        world.probe(features="pixels@abcd")


def test_copied_rows_are_those_that_the_network_gives(world: World, tmp_path: Path) -> None:
    world.split("train", 9)
    world.extract(backbone=NET)
    for i in range(5):
        world.noise(f"train/b/later{i}.bmp")
    (world.images / "train/a/0.bmp").rename(world.images / "train/c/moved.bmp")
    out = world.call(extract.cli, "--backbone", NET, "--dataset", world.source, "--dry-run", "--json")
    assert [(row["missing"], row["known"]) for row in json.loads(out)] == [(32, 26)], "by name and size"
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


def test_pictures_that_were_touched_or_copied_are_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.split("train", 10)
    world.split("test", 10)
    world.extract()
    for path in world.images.rglob("*.bmp"):
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
    row, read = world.probe(), list[str]()
    monkeypatch.setattr("store.source.file_hash", lambda top, name: read.append(name) or b"")
    assert world.probe()["top1"] == row["top1"]
    assert not read, "they were compared already"
    assert world.extract() == {"train": (0, 0), "test": (0, 0)}


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


def test_a_store_that_noted_no_times_is_compared_too(world: World) -> None:
    world.split("train", 6)
    world.split("test", 6)
    world.extract()
    for path in world.store.glob("samples/*/*/*/times"):
        path.unlink()
    world.probe()
    world.noise("test/a/1.bmp")
    with pytest.raises(SamplesMismatch, match=r"1 of 18 images of .*/test are other pictures"):
        world.probe()
    out = world.call(extract.cli, "--backbone", "pixels", "--dataset", world.source, "--dry-run", "--json")
    assert [(row["missing"], row["known"]) for row in json.loads(out)] == [(0, 0), (18, 17)]


def test_a_fingerprint_of_earlier_pictures_means_those_of_every_split(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.split("train", 6)
    world.split("test", 5)
    world.extract()
    old = world.probe()["record"]
    for path in world.images.rglob("*.bmp"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    assert world.extract() == {"train": (18, 0), "test": (15, 0)}
    record = json.loads((next(world.store.rglob(f"*{old}*"))).read_text())
    fingerprints = {one["split"]: one["fingerprint"] for one in record["features"]}
    world.probe(features=f"pixels@{fingerprints['train'][:8]}")
    newest = max(world.store.glob("records/probe/*.json"), key=lambda path: path.stat().st_mtime_ns)
    used = {one["split"]: one["fingerprint"] for one in json.loads(newest.read_text())["features"]}
    assert used == fingerprints
    assert "its samples are earlier ones" in caplog.text
