"""A file's rows go to the images that their ids name, in every split at once; what does not fit is refused by name."""

import shlex

import numpy as np
import pytest

from store import open_features
from store.cli import main
from store.errors import BadValue, MissingFeatures
from store.exchange import ImportOptions, import_file
from store.exporting import export_file
from store.listing import Listing, write_listing
from store.overlap import check_apart
from store.root import open_root
from tests.conftest import write_set

SIZES = {"train": 20, "val": 6, "test": 9}
CLASSES = ["ant", "bee", "cat"]


@pytest.fixture
def stored(root) -> dict[str, list[str]]:
    """A dataset in three splits; split -> ids."""
    ids = {}
    for split, count in SIZES.items():
        made = write_set(root, np.ones((count, 2), np.float32), {"label": np.arange(count) % 3}, split=split,
                         classes={"label": CLASSES})  # fmt: skip
        ids[split] = list(made.samples.ids)
    return ids


@pytest.fixture
def file(stored, tmp_path):
    """Every image's features, mixed; the feature says which image it is."""
    names = [name for ids in stored.values() for name in ids]
    order = np.random.default_rng(0).permutation(len(names))
    code = {name: i for i, name in enumerate(names)}

    def write(drop=(), more=(), name="x.npz", **arrays):
        mixed = [names[i] for i in order if names[i] not in drop] + list(more)
        x = np.array([[code.get(name, -1), 0] for name in mixed], np.float32)
        arrays = {key: np.array([value[name] for name in mixed]) if isinstance(value, dict) else value
                  for key, value in arrays.items()}  # fmt: skip
        np.savez(tmp_path / name, **{"features": x, "ids": np.array(mixed), **arrays})
        return tmp_path / name

    write.code = code
    return write


def read(root, split, name="mine"):
    return open_features(root, "toy", split, name)


def test_every_split_gets_its_own_rows(root, stored, file, capsys) -> None:
    argv = ["import", str(file()), "--dataset", "toy", "--backbone", "mine", "--store", root.url]
    assert main(argv) == 0
    assert [line.split("@")[0] for line in capsys.readouterr().out.splitlines()] == [
        "toy/test/mine", "toy/train/mine", "toy/val/mine",
    ]  # fmt: skip
    for split, ids in stored.items():
        assert read(root, split).read()[:, 0].tolist() == [file.code[name] for name in ids]
        assert read(root, split, "a,mine").shape == (SIZES[split], 4), "joins what was extracted"


def test_one_split_takes_its_own_rows_alone(root, stored, file, caplog) -> None:
    caplog.set_level("INFO")
    (made,) = import_file(root, file(), "toy", "mine", "val")
    assert made.read()[:, 0].tolist() == [file.code[name] for name in stored["val"]]
    assert "29 rows are of other splits of toy; without --split they are taken too" in caplog.text


def test_rows_and_images_that_do_not_match(root, stored, file) -> None:
    lost, more = [stored["train"][3], stored["train"][7], stored["test"][0]], ["new/1.png", "new/2.png"]
    path, surplus = file(lost, more), "2 of 34 rows are of no image of toy: 'new/1.png', 'new/2.png'; "
    missing = "2 of 20 images of train have no row: 'train/000003.png', 'train/000007.png'"
    for split in (None, "train"):
        with pytest.raises(BadValue, match=f"{surplus}.*{missing}.*--partial takes what matches"):
            import_file(root, path, "toy", "mine", split)
    assert root.list("features/toy/train").keys() == {"a"}, "nothing was written"
    with pytest.raises(
        BadValue, match=r"9 of 9 images of test have no row: .*; --split train imports that split alone"
    ):
        import_file(root, file(stored["test"], name="y.npz"), "toy", "mine")
    import_file(root, file(stored["test"], name="y.npz"), "toy", "alone", "train")
    for made in import_file(root, path, "toy", "mine", options=ImportOptions(partial=True)):
        split = made.manifest.split
        there = [name for name in stored[split] if name not in lost]
        assert read(root, split).read()[:, 0].tolist() == [file.code[name] for name in there]
        assert set(made.manifest.bad_rows.values()) <= {"no row in x.npz"}
    np.savez(path, features=np.ones((35, 2)), ids=np.array([f"z{i}" for i in range(35)]))
    with pytest.raises(BadValue, match="35 of 35 rows are of no image of toy"):
        import_file(root, path, "toy", "mine", options=ImportOptions(partial=True))


def test_one_file_is_never_several_splits(root, stored, file, tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32))
    for split in (None, "train", "val"):
        with pytest.raises(BadValue, match=r"x.npy has no ids, and toy has images of its own in"):
            import_file(root, tmp_path / "x.npy", "toy", "mine", split)
    with pytest.raises(BadValue, match=r"6 of 35 rows are images of toy/val|rows are images of toy/test"):
        import_file(root, file(), "toy", "mine", "all")
    import_file(root, tmp_path / "x.npy", "new", "mine", "train")
    with pytest.raises(BadValue, match="these very features are in the store already, as new/train/mine@"):
        import_file(root, tmp_path / "x.npy", "new", "mine", "val")
    np.save(tmp_path / "y.npy", np.ones((20, 4), np.float32))
    import_file(root, tmp_path / "y.npy", "new", "mine", "val")
    with pytest.raises(BadValue, match="no ids, and new has images of its own in train, val"):
        import_file(root, tmp_path / "y.npy", "new", "other")


def test_a_new_dataset_is_split_as_the_file_says(root, tmp_path) -> None:
    says = ["train"] * 6 + ["Validation"] * 2 + ["test"] * 4
    arrays = {"features": np.eye(12, dtype=np.float32), "ids": np.array([f"{i}.png" for i in range(12)])}
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(BadValue, match=r"the store has no samples of new, and x.npz no array `split`: name the split"):
        import_file(root, tmp_path / "x.npz", "new", "mine")
    np.savez(
        tmp_path / "x.npz", **arrays, split=np.array(says), labels=["a", "b", "c"] * 2 + ["a", "b"] + ["a", "b"] * 2
    )
    with pytest.raises(BadValue, match="its column `split` says 'test', 'train', 'val': no row is of 'all'"):
        import_file(root, tmp_path / "x.npz", "new", "mine", "all")
    import_file(root, tmp_path / "x.npz", "new", "mine")
    found = {split: open_features(root, "new", split, "mine") for split in ("train", "val", "test")}
    assert {split: len(x) for split, x in found.items()} == {"train": 6, "val": 2, "test": 4}
    assert {x.samples.target().classes for x in found.values()} == {("a", "b", "c")}, "one list of classes"
    assert found["val"].read().argmax(axis=1).tolist() == [6, 7]


def test_a_source_that_was_never_extracted(root, tmp_path, caplog) -> None:
    (tmp_path / "list.csv").write_text("path,label,split\na.png,a,train\n")
    np.savez(tmp_path / "x.npz", features=np.eye(3, dtype=np.float32), ids=["a.png", "b.png", "c.png"])
    source = f"csv:{tmp_path}/list.csv"
    with pytest.raises(
        BadValue, match=r"does not know the images of csv:.*python -m extract --backbone pixels --dataset csv"
    ):
        import_file(root, tmp_path / "x.npz", source, "mine")
    import_file(root, tmp_path / "x.npz", source, "mine", "train")
    assert "all rows are taken as train" in caplog.text


def test_ids_that_begin_anew_in_every_split(root, tmp_path) -> None:
    """Told apart by the file's own splits; without them they are refused."""
    names, splits = np.array([*range(4), *range(3)]), np.array(["train"] * 4 + ["val"] * 3)
    np.savez(tmp_path / "x.npz", features=np.eye(7, dtype=np.float32), id=names, split=splits)
    import_file(root, tmp_path / "x.npz", "new", "mine")
    np.savez(tmp_path / "y.npz", features=np.eye(7, dtype=np.float32)[::-1] * 2, id=names[::-1], split=splits[::-1])
    import_file(root, tmp_path / "y.npz", "new", "turned")
    x = open_features(root, "new", "val", "mine,turned").read()
    assert np.array_equal(x[:, :7] * 2, x[:, 7:])
    np.savez(tmp_path / "z.npz", features=np.eye(7, dtype=np.float32), ids=names)
    with pytest.raises(BadValue, match="sample id '0' occurs twice"):
        import_file(root, tmp_path / "z.npz", "new", "more")
    np.savez(tmp_path / "z.npz", features=np.eye(4, dtype=np.float32), ids=names[:4])
    with pytest.raises(BadValue, match="'0' is an id of several splits of new: --split says which"):
        import_file(root, tmp_path / "z.npz", "new", "more")
    import_file(root, tmp_path / "z.npz", "new", "more", "train")


def test_ids_with_a_folder_before_them_or_backslashes(root, stored, file, tmp_path) -> None:
    names = {name: f"C:\\data\\toy\\{name}".replace("/", "\\") for ids in stored.values() for name in ids}
    import_file(root, file(ids=names), "toy", "mine")
    assert read(root, "test").read()[:, 0].tolist() == [file.code[name] for name in stored["test"]]


def test_ids_with_the_folder_of_their_split(root, tmp_path) -> None:
    """Of `folder:PATH` the ids are below the split's folder, and the same ones in each."""
    plain = ["ant/0.png", "ant/1.png", "bee/0.png"]
    np.savez(tmp_path / "x.npz", features=np.ones((6, 2)), ids=plain * 2, split=["train"] * 3 + ["val"] * 3)
    import_file(root, tmp_path / "x.npz", "toy", "a")
    listed = {split: next(iter(root.list(f"samples/toy/{split}"))) for split in ("train", "val")}
    write_listing(root, Listing("toy", "toy", "", listed, {"train": "train", "val": "Validation"}))
    names = [f"{split}/{name}" for split in ("Validation", "train") for name in ("bee/0.png", "ant/0.png", "ant/1.png")]
    for before in ("", "/data/toy/"):
        np.savez(tmp_path / "x.npz", features=np.eye(6)[:, :5], paths=[before + name for name in names])
        import_file(root, tmp_path / "x.npz", "toy", f"mine{len(before)}")
        x = {split: read(root, split, f"mine{len(before)}").read() for split in ("train", "val")}
        assert x["val"].argmax(axis=1).tolist() == [1, 2, 0]
        assert x["train"].argmax(axis=1).tolist() == [4, 0, 3], "row 5 is all zeros"
    np.savez(tmp_path / "x.npz", features=np.eye(3), paths=plain)
    with pytest.raises(BadValue, match=r"'ant/0.png' is an id of several splits of toy: --split says which"):
        import_file(root, tmp_path / "x.npz", "toy", "more")
    import_file(root, tmp_path / "x.npz", "toy", "more", "val")


def test_labels_of_the_file_and_of_the_store(root, stored, file) -> None:
    right = {name: i % 3 for ids in stored.values() for i, name in enumerate(ids)}
    import_file(root, file(labels=right), "toy", "by-number")
    import_file(root, file(labels={name: CLASSES[i] for name, i in right.items()}), "toy", "by-name")
    assert read(root, "val", "by-number").samples.target().classes == tuple(CLASSES), "the store's names stay"
    wrong = {**right, "val/000002.png": 0}
    with pytest.raises(BadValue, match=r"another 'label', in 1 rows, first 'val/000002.png': '0', in the store 'cat'"):
        import_file(root, file(labels=wrong), "toy", "wrong")
    assert "wrong" not in root.list("features/toy/train"), "no split was begun"
    import_file(root, file(labels=wrong), "toy", "wrong", options=ImportOptions(relabel=True))
    assert read(root, "val", "wrong").samples.label.tolist() == [0, 1, 0, 0, 1, 2]
    assert read(root, "val", "by-name").samples.target().classes == ("0", "1", "2")
    import_file(root, file(target_style={name: "ink" if i else "" for name, i in right.items()}), "toy", "style")
    style = read(root, "val", "style").samples.target("style")
    assert (style.classes, style.index.tolist()) == (("ink",), [-1, 0, 0, -1, 0, 0])


def test_the_advice_for_imported_features_is_to_import(root, stored, file) -> None:
    import_file(root, file(), "toy", "mine", "val")
    with pytest.raises(
        MissingFeatures, match=r"toy/test/mine has no features .*run: python -m store import FILE --backbone"
    ):
        read(root, "test")
    samples = read(root, "val").samples
    splits = {split: "0" * 64 if split == "val" else "" for split in stored}
    write_listing(root, Listing("toy", "toy", "", splits))
    with pytest.raises(
        MissingFeatures, match=r"lists other samples now than when toy/val/mine was imported. Import a file "
    ):
        read(root, "val")
    assert len(samples) == 6


def test_other_features_under_the_same_name_are_told(root, stored, file, tmp_path, caplog, capsys) -> None:
    import_file(root, file(), "toy", "mine", "val")
    assert "to remove the old ones" not in caplog.text
    with np.load(file()) as arrays:
        np.savez(tmp_path / "y.npz", features=arrays["features"] + 1, ids=arrays["ids"])
    import_file(root, tmp_path / "y.npz", "toy", "mine", "val")
    advice = caplog.text.rpartition("to remove the old ones: python -m store ")[2]
    assert main(shlex.split(advice)) == 0
    assert read(root, "val").read()[0, 1] == 1, "one is left"


def test_sizes_of_other_files_are_refused(root, stored, file) -> None:
    sizes = {name: 100 for ids in stored.values() for name in ids}
    import_file(root, file(sizes=sizes), "toy", "mine")
    with pytest.raises(
        BadValue, match=r"1 images of val have other file sizes than in the store, first 'val/000002.png'"
    ):
        import_file(root, file(sizes={**sizes, "val/000002.png": 7}), "toy", "more")


def test_content_hashes_are_those_of_the_images(root, stored, file, tmp_path, caplog) -> None:
    """So that images in two splits are found among imported features too; where nobody saw the images, that is said."""
    for made in import_file(root, file(), "toy", "mine"):
        extracted = read(root, made.manifest.split, "a").parts[0]
        assert np.array_equal(made.content_hashes, extracted.content_hashes)
    np.savez(tmp_path / "y.npz", features=np.eye(4), ids=np.array(list("abcd")), split=np.array(["train", "test"] * 2))
    import_file(root, tmp_path / "y.npz", "unseen", "mine")
    sides = {split: (open_features(root, "unseen", split, "mine"), np.arange(2)) for split in ("train", "test")}
    assert check_apart(sides, allowed=False) == {}
    assert "whether images of unseen/train, unseen/test stand anywhere twice was not checked" in caplog.text


def test_hashes_go_with_an_export(root, stored, file, tmp_path) -> None:
    """Into another store; and features of pictures that were replaced since do not join."""
    import_file(root, file(), "toy", "mine")
    elsewhere = open_root(tmp_path / "elsewhere")
    for suffix in (".npz", ".npy", ".h5", ".parquet"):
        export_file(root, tmp_path / f"y{suffix}", "toy", "val", "a")
        (made,) = import_file(elsewhere, tmp_path / f"y{suffix}", "toy", suffix[1:], "val")
        assert np.array_equal(made.content_hashes, read(root, "val", "a").parts[0].content_hashes)
    with np.load(tmp_path / "y.npz") as arrays:
        there = dict(arrays)
    np.savez(tmp_path / "z.npz", **{**there, "content": there["content"][[1, 0, 2, 3, 4, 5]]})
    with pytest.raises(BadValue, match="2 of 6 images of val are other pictures than in the store, first 'val/000000"):
        import_file(root, tmp_path / "z.npz", "toy", "more", "val")
    np.savez(tmp_path / "z.npz", **{**there, "content": np.array(["a cat"] * 6)})
    import_file(root, tmp_path / "z.npz", "toy", "more", "val")
