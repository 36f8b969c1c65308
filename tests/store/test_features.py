"""What lies in a set's place is read only if it is what manifest and hashes say: a whole file can be another's."""

import json
import shlex
import shutil

import numpy as np
import pytest

from store import open_features
from store.cli import main
from store.columns import save_column
from store.concat import Concat
from store.errors import DamagedFeatures, FormatError, MissingFeatures, UserError
from store.features import FeatureSet
from tests.conftest import write_set
from tests.store.test_verify import rewrite_manifest

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(100, 4)).astype(np.float32), RNG.permutation(100) % 3
BOTH = pytest.mark.parametrize("backend", ["zarr", "hdf5"])


def block(stored: FeatureSet, index: int):
    return stored.root.path(stored.blocks.key(index))


def swap(a, b) -> None:
    aside = a.with_name("aside")
    a.rename(aside)
    b.rename(a)
    aside.rename(b)


@BOTH
@pytest.mark.parametrize("rows", [slice(30, 40), np.array([1]), slice(None)], ids=["slice", "row", "all"])
def test_blocks_that_changed_places_are_never_read(root, backend, rows) -> None:
    stored = write_set(root, X, {"label": Y}, block_rows=32, backend=backend)
    swap(block(stored, 0), block(stored, 1))
    with pytest.raises(DamagedFeatures, match=r"is not the block that was committed: rows .* Run `python -m store ver"):
        open_features(root, "toy", "train", "a").read(rows)
    assert np.array_equal(open_features(root, "toy", "train", "a").read(slice(64, 100)), X[64:])


@BOTH
def test_a_block_of_another_set_is_never_read(root, backend) -> None:
    stored = write_set(root, X, {"label": Y}, block_rows=32, backend=backend)
    other = write_set(root, X + 1, {"label": Y}, backbone="b", block_rows=32, backend=backend)
    shutil.copy(block(other, 2), block(stored, 2))
    with pytest.raises(DamagedFeatures, match="is not the block that was committed"):
        open_features(root, "toy", "train", "b,a").read()


def test_checksums_of_another_set_are_refused(root, make_set) -> None:
    stored, other = (make_set(x, {"label": Y}, backbone=name, block_rows=32) for x, name in ((X, "a"), (X + 1, "b")))
    shutil.copy(root.path(f"{other.folder}/checksums/c.0"), root.path(f"{stored.folder}/checksums/c.0"))
    with pytest.raises(DamagedFeatures, match=r"/checksums is not what the manifest says: run `python -m store verify"):
        open_features(root, "toy", "train", "a").read()


def test_a_set_under_another_name_is_refused_and_can_be_removed(root, make_set, capsys) -> None:
    stored = make_set(X, {"label": Y}, backbone="b")
    fake = f"features/toy/train/fake/{stored.manifest.fingerprint}"
    shutil.copytree(root.path(stored.folder), root.path(fake))
    short = stored.manifest.fingerprint[:8]
    with pytest.raises(FormatError, match=f"belongs to toy/train/b@{short}: .* `python -m store rm toy/train/fake@"):
        open_features(root, "toy", "train", "fake")
    assert main(["rm", f"toy/train/fake@{short}", "--yes", "--store", root.url]) == 0
    with pytest.raises(MissingFeatures):
        open_features(root, "toy", "train", "fake")
    assert main(["verify", "--store", root.url]) == 0


def test_a_manifest_of_another_set_is_refused(root, make_set) -> None:
    stored, other = (make_set(X, {"label": Y}, backbone=name) for name in "ab")
    shutil.copy(root.path(f"{other.folder}/manifest.json"), root.path(f"{stored.folder}/manifest.json"))
    with pytest.raises(FormatError, match="belongs to toy/train/b@"):
        open_features(root, "toy", "train", "a")
    with pytest.raises(FormatError, match="belongs to toy/train/b@"):
        FeatureSet(root, stored.folder)


def test_a_copy_that_somebody_put_beside_a_set_is_not_one(root, make_set) -> None:
    stored = make_set(X, {"label": Y})
    shutil.copytree(root.path(stored.folder), root.path("features/toy/train/a/backup"))
    assert np.array_equal(open_features(root, "toy", "train", "a").read(), X)


def edit(path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def grow(path) -> None:
    meta = json.loads(path.read_text())
    edit(path, shape=[meta["shape"][0] + 8])


def replaced(name: str):
    """Put the same file of another list of as many samples in the place of this one's."""

    def spoil(folder, other) -> None:
        shutil.copy(next(other.glob(name)), next(folder.glob(name)))

    return spoil


SAMPLES = {
    "ids of another list": replaced("ids/c.0"),
    "sizes of another list": replaced("sizes/c.0"),
    "offsets of another list": replaced("offsets/c.0"),
    "header of another list": replaced("samples.json"),
    "another count": lambda folder, _: edit(folder / "samples.json", num_samples=99),
    "more ids": lambda folder, _: grow(folder / "ids/zarr.json"),
    "more offsets": lambda folder, _: grow(folder / "offsets/zarr.json"),
    "more sizes": lambda folder, _: grow(folder / "sizes/zarr.json"),
}


@pytest.fixture
def lists(root, make_set):
    """(folder of a's samples, folder of another list's): as many samples, other names, sizes and labels."""
    stored = make_set(X, {"label": Y, "unit": Y})
    other = make_set(X, {"label": Y[::-1], "unit": Y[::-1]}, split="others")
    return tuple(root.path(f"samples/toy/{s.manifest.split}/{s.manifest.samples}") for s in (stored, other))


@pytest.mark.parametrize("damage", SAMPLES)
def test_a_list_that_is_not_what_its_name_says_is_refused(root, lists, damage, capsys) -> None:
    folder, other = lists
    if damage.startswith("sizes"):
        save_column(root, str(other.relative_to(root.folder) / "sizes"), np.full(100, 7), "sample")
    SAMPLES[damage](folder, other)
    with pytest.raises(UserError, match="store verify"):
        list(open_features(root, "toy", "train", "a").samples.ids)
    with pytest.raises(UserError, match="store verify"):
        _ = open_features(root, "toy", "train", "a").samples.sizes
    assert main(["verify", "a", "--split", "train", "--store", root.url, "--repair"]) == 0
    write_set(root, X, {"label": Y, "unit": Y})
    assert list(open_features(root, "toy", "train", "a").samples.ids)[7] == "train/000007.png"


TARGETS = {
    "the column is gone": lambda folder, _: shutil.rmtree(folder / "targets/label"),
    "all columns are gone": lambda folder, _: shutil.rmtree(folder / "targets"),
    "labels of another list": replaced("targets/label/*/index/c.0"),
    "fewer labels": lambda folder, _: grow(next(folder.glob("targets/label/*/index/zarr.json"))),
    "a class renamed": lambda folder, _: next(folder.glob("targets/label/*/classes.json")).write_text('["0","1","3"]'),
    "classes are no list": lambda folder, _: next(folder.glob("targets/label/*/classes.json")).write_text("3"),
    "classes are no text": lambda folder, _: next(folder.glob("targets/label/*/classes.json")).write_text("[0,1,2]"),
    "other labels current": replaced("targets/label/current"),
}


@pytest.mark.parametrize("damage", TARGETS)
def test_labels_that_are_not_what_their_hash_says_are_refused(root, lists, damage) -> None:
    TARGETS[damage](*lists)
    with pytest.raises(
        DamagedFeatures, match=r"(targets/label is damaged|targets/label is gone).* `python -m store verify --repair"
    ):
        _ = open_features(root, "toy", "train", "a").samples.label
    assert main(["verify", "a", "--split", "train", "--store", root.url, "--repair"]) == 0
    write_set(root, X, {"label": Y, "unit": Y})
    assert np.array_equal(open_features(root, "toy", "train", "a").samples.label, Y)


def test_columns_that_changed_places_are_refused(root, lists) -> None:
    targets = lists[0] / "targets"
    swap(targets / "label", targets / "unit")
    for column, other in (("label", "unit"), ("unit", "label")):
        with pytest.raises(DamagedFeatures, match=rf"targets/{column} is damaged \(it is that of toy/train/{other}\)"):
            open_features(root, "toy", "train", "a").samples.target(column)


def test_labels_of_another_dataset_over_the_same_images_are_refused(root, make_set) -> None:
    """The lists have the same id, so the same folder's name."""
    for dataset, y in (("one", Y), ("two", Y[::-1])):
        make_set(X, {"label": y}, dataset=dataset)
    swap(root.path("samples/one/train"), root.path("samples/two/train"))
    with pytest.raises(DamagedFeatures, match=r"targets/label is damaged \(it is that of two/train/label\)"):
        _ = open_features(root, "one", "train", "a").samples.label


def test_the_advised_command_repairs(root, make_set) -> None:
    """As it stands in the error's text, of this very store."""
    stored = make_set(X, {"label": Y}, block_rows=32)
    swap(block(stored, 0), block(stored, 1))
    with pytest.raises(DamagedFeatures) as error:
        open_features(root, "toy", "train", "a").read()
    command = shlex.split(str(error.value).split("`")[1])
    assert main(command[3:]) == 0
    make_set(X, {"label": Y}, block_rows=32)
    assert np.array_equal(open_features(root, "toy", "train", "a").read(), X)


def test_image_hashes_that_were_exchanged_do_not_decide_whether_sets_fit(root, make_set) -> None:
    stored, other = (make_set(X, {"label": Y}, backbone=name) for name in "ab")
    elsewhere = make_set(X, {"label": Y}, split="others")
    shutil.copy(root.path(f"{elsewhere.folder}/content/c.0.0"), root.path(f"{stored.folder}/content/c.0.0"))
    rewrite_manifest(root.path(f"{other.folder}/manifest.json"), content="0" * 64)
    with pytest.raises(DamagedFeatures, match="/content is not what the manifest says"):
        Concat([FeatureSet(root, stored.folder), FeatureSet(root, other.folder)])
