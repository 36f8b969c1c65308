"""The world changes between two commands: splits and labels are moved, renamed, taken away."""

import json
from pathlib import Path

import pytest
from PIL import Image

import extract.cli
import fewshot.cli
import probe.cli
import probe.search.cli
import store.cli
from store.errors import BadValue, FormatError, MissingFeatures, SamplesMismatch
from store.keys import dataset_name
from tests.world import World


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
    assert "committed, split gone" in world.call(store.cli, "ls", "val/*")
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


def test_another_split_is_extracted_after_the_list_changed(world: World) -> None:
    """The listing speaks of all splits: what it says of labels holds for those that were not asked for, too."""
    world.split("all", 20)
    rows = [(f"all/{name}/{i}.bmp", name, "test" if i < 5 else "train") for name in "abc" for i in range(20)]
    world.listed(rows)
    world.extract()
    world.listed([(path, label.replace("c", "b"), split) for path, label, split in rows])
    world.extract("--split", "train")
    assert world.probe()["num_classes"] == 2


def test_a_split_whose_features_are_gone_is_missed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for split in ("train", "val", "test"):
        world.split(split, 5)
    world.extract()
    world.call(store.cli, "rm", "val/pixels", "--yes")
    assert "fifth of train" in world.probe()["selection"]
    assert "has a split val, but no features of it are stored: it is not used" in caplog.text


def test_another_test_dataset_is_compared_too(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = World(tmp_path / "other", capsys)
    other.store = world.store
    for one in (world, other):
        one.split("train", 5)
        one.split("test", 5)
        one.extract()
    assert world.probe("--test-dataset", other.source)["num_samples"] == 15
    other.noise("test/a/later.bmp")
    with pytest.raises(SamplesMismatch, match=f"{other.source} has other files"):
        world.probe("--test-dataset", other.source)


def test_a_column_that_the_list_has_no_more_is_taken_out(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.split("all", 8)
    rows = [(f"all/{name}/{i}.bmp", name, "test" if i < 3 else "train") for name in "abc" for i in range(8)]
    world.listed([(path, label, f"{split},h{i % 2},u{i % 3}") for i, (path, label, split) in enumerate(rows)])
    path = world.images / "list.csv"
    path.write_text(path.read_text().replace("label,split", "label,split,hospital,unit"))
    world.extract()
    with pytest.raises(BadValue, match="are of a unit that"):
        world.probe("--target", "hospital")
    world.listed(rows)
    world.relabel()
    assert "column unit is no longer in the list, and is taken out" in caplog.text
    assert world.probe()["num_classes"] == 3
    with pytest.raises(BadValue, match=r"unknown target column .*'hospital'; there are: label"):
        world.probe("--target", "hospital")
    assert store.cli.main(["verify", "--store", str(world.store)]) == 0
