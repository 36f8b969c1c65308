"""Features from files, and files from features: exact both ways, and nothing taken on trust."""

from pathlib import Path

import numpy as np
import pytest

from store import open_features
from store.cli import main
from store.errors import BadFeatures, BadValue, MissingFeatures, UnknownName
from store.exchange import ImportOptions, import_file
from store.exporting import export_file
from store.foreign_files import READERS
from store.root import open_root
from tests.conftest import write_set

SUFFIXES = list(READERS)
X = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
LABELS = np.arange(50) % 4 - 1


def take(root, path, **options):
    (made,) = import_file(root, Path(path), "toy", "new", "train", ImportOptions(**options))
    return made


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_round_trip(root, make_set, tmp_path, suffix, dtype) -> None:
    targets = {"label": LABELS, "group": np.arange(50) % 2, "style": np.arange(50) % 3}
    classes = {"label": ["cat", "dög", ""], "group": ["h1", "h2"]}
    for name, x in (("a", X[:, :4]), ("b", X[:, 4:])):
        make_set(x, targets, classes=classes, dtype=dtype, backbone=name, bad_rows={7: "bad"} if name == "b" else {})
    path = tmp_path / f"out{suffix}"
    assert export_file(root, path, "toy", "train", "a,b") == (49, 6)
    elsewhere = open_root(tmp_path / "elsewhere")
    made = take(elsewhere, path)
    old, new = open_features(root, "toy", "train", "a,b"), open_features(elsewhere, "toy", "train", "new")
    assert made.manifest.dtype == dtype
    assert np.array_equal(new.read(), old.read())
    assert (list(new.samples.ids), new.samples.sizes.tolist()) == (list(old.samples.ids), old.samples.sizes.tolist())
    assert new.samples.id == old.samples.id
    assert {n: t.hash for n, t in new.samples.targets.items()} == {n: t.hash for n, t in old.samples.targets.items()}
    again = tmp_path / "again" / f"out{suffix}"
    export_file(elsewhere, again, "toy", "train", "new")
    files = sorted(tmp_path.glob(f"out*{suffix}"))
    if suffix in (".npy", ".npz", ".parquet"):  # HDF5 and zip members carry no such promise; these do
        assert [file.name for file in files] == [file.name for file in sorted(again.parent.iterdir())]
    assert np.array_equal(take(elsewhere, again).read(), old.read())
    with pytest.raises(
        BadValue, match=r"1 of 50 images of train have no row: 'train/000007.png'; --partial takes what"
    ):
        take(root, path)
    take(root, path, partial=True)
    assert np.array_equal(open_features(root, "toy", "train", "a,new").read()[:, 4:], new.read())


def test_the_fingerprint_is_that_of_the_content(root, make_set, tmp_path) -> None:
    made_of, made = make_set(X, {"label": LABELS}), set()
    for suffix in SUFFIXES:
        export_file(root, tmp_path / f"{suffix[1:]}{suffix}", "toy", "train", "a")
        made.add(take(root, tmp_path / f"{suffix[1:]}{suffix}").manifest.fingerprint)
    assert len(made) == 1
    other = X.copy()
    other[49, 5] = np.nextafter(other[49, 5], 1)
    np.savez(tmp_path / "other.npz", features=other, ids=np.array(list(made_of.samples.ids)))
    assert take(root, tmp_path / "other.npz").manifest.fingerprint not in made


def test_an_exported_npy_is_one_to_memory_map(root, make_set, tmp_path) -> None:
    make_set(X, {"label": LABELS}, dtype="float16")
    export_file(root, tmp_path / "x.npy", "toy", "train", "a", dtype="float32")
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert (mapped.dtype, mapped.flags.c_contiguous) == (np.float32, True)
    assert np.array_equal(mapped, X.astype(np.float16))
    assert np.array_equal(np.load(tmp_path / "x.labels.npy"), LABELS)


def test_the_few_shot_layout_is_cut_by_its_count(root, tmp_path) -> None:
    """Rows from `count` on are padding; a row of zeros before it is a feature."""
    import h5py

    x = np.zeros((64, 3, 2, 1), np.float32)
    x[:50] = X[:, :6].reshape(50, 3, 2, 1)
    x[10] = 0
    labels = np.zeros(64, np.int32)
    labels[:50] = 80 + np.arange(50) % 5
    with h5py.File(tmp_path / "novel.hdf5", "w") as file:
        file.create_dataset("all_feats", data=x, maxshape=(None, 3, 2, 1), chunks=(1, 3, 2, 1))
        file["all_labels"], file["count"] = labels, np.array([50], np.int32)
    take(root, tmp_path / "novel.hdf5")
    made = open_features(root, "toy", "train", "new")
    assert made.shape == (50, 6)
    assert np.array_equal(made.read(), x[:50].reshape(50, 6))
    assert made.samples.target().classes == ("80", "81", "82", "83", "84")
    assert np.array_equal(made.samples.label, labels[:50] - 80)
    with h5py.File(tmp_path / "novel.hdf5", "a") as file:
        file["count"][0] = 65
    with pytest.raises(BadValue, match="count is 65, but there are 64 rows"):
        take(root, tmp_path / "novel.hdf5")


def test_foreign_parquet(root, tmp_path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    names = ["cat", "dog"] * 25
    pq.write_table(pa.table({"embedding": X.tolist(), "class_name": names}), tmp_path / "x.parquet")
    take(root, tmp_path / "x.parquet")
    made = open_features(root, "toy", "train", "new")
    assert np.array_equal(made.read(), X), "float64 that float32 holds exactly"
    assert made.samples.target().classes == ("cat", "dog")
    pq.write_table(pa.table({"embedding": [[1.0], [1.0, 2.0]]}), tmp_path / "x.parquet")
    with pytest.raises(BadValue, match=r"the rows of embedding have \[1, 2\] values"):
        take(root, tmp_path / "x.parquet")


def test_labels_from_another_file(root, tmp_path, capsys) -> None:
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "labels.txt").write_text("\n".join(["b", "a"] * 25) + "\n")
    argv = ["import", str(tmp_path / "x.npy"), "--dataset", "toy", "--split", "train", "--backbone", "new"]
    assert main([*argv, "--labels", str(tmp_path / "labels.txt"), "--store", root.url]) == 0
    assert capsys.readouterr().out.endswith("  50 x 6 float32\n")
    target = open_features(root, "toy", "train", "new").samples.target()
    assert (target.classes, target.index.tolist()) == (("a", "b"), [1, 0] * 25)
    (tmp_path / "labels.txt").write_text("a\n" * 49)
    with pytest.raises(BadValue, match=r"labels has the shape \(49,\), but there are 50 rows of features"):
        take(root, tmp_path / "x.npy", labels=tmp_path / "labels.txt")
    with pytest.raises(BadValue, match=r"--labels nowhere.npy is not a file"):
        take(root, tmp_path / "x.npy", labels=Path("nowhere.npy"))


def test_imported_features_join_extracted_ones(root, make_set, tmp_path) -> None:
    old = make_set(X, {"label": LABELS}, backbone="a")
    np.savez(tmp_path / "x.npz", features=X * 2, ids=np.array(list(old.samples.ids)))
    take(root, tmp_path / "x.npz")
    x = open_features(root, "toy", "train", "a,new")
    assert np.array_equal(x.read(), np.hstack([X, X * 2]))
    np.savez(tmp_path / "x.npz", features=X * 3, ids=np.array(list(old.samples.ids))[::-1])
    import_file(root, tmp_path / "x.npz", "toy", "turned", "train")
    turned = open_features(root, "toy", "train", "a,turned").read(), np.hstack([X, (X * 3)[::-1]])
    assert np.array_equal(*turned), "in the order of the ids that are there"


def test_other_labels_of_the_same_samples_are_refused(root, tmp_path) -> None:
    np.savez(tmp_path / "x.npz", features=X, labels=LABELS)
    take(root, tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", features=X * 2, labels=LABELS[::-1])
    with pytest.raises(BadValue, match="another 'label', in 37 rows, first '00': '0', in the store None"):
        take(root, tmp_path / "y.npz")
    take(root, tmp_path / "y.npz", relabel=True)
    assert open_features(root, "toy", "train", "new@" + take(root, tmp_path / "y.npz").manifest.fingerprint).shape


def test_a_second_import_makes_nothing_again(root, tmp_path) -> None:
    np.savez(tmp_path / "x.npz", features=X)
    first = take(root, tmp_path / "x.npz")
    block = root.path(f"{first.folder}/x/c.0.0")
    before = block.stat().st_ino
    assert take(root, tmp_path / "x.npz", backend="hdf5").manifest == first.manifest
    assert block.stat().st_ino == before


def test_numbers_that_do_not_fit(root, tmp_path) -> None:
    doubles = X.astype(np.float64) + 1e-12
    np.savez(tmp_path / "x.npz", features=doubles)
    with pytest.raises(BadFeatures, match="row 0: features of float64 do not fit float32 exactly; round them with --"):
        take(root, tmp_path / "x.npz")
    assert np.array_equal(take(root, tmp_path / "x.npz", dtype="float32").read(), doubles.astype(np.float32))
    np.savez(tmp_path / "x.npz", features=np.full((50, 2), 70000, np.int32))
    with pytest.raises(BadFeatures, match="row 0: a feature of 70000 does not fit float16; --dtype float32 holds it"):
        take(root, tmp_path / "x.npz", dtype="float16")
    assert take(root, tmp_path / "x.npz").read().max() == 70000
    holes = X.copy()
    holes[[4, 9], 1] = np.nan, np.inf
    np.savez(tmp_path / "x.npz", features=holes)
    with pytest.raises(BadFeatures, match=r"row 4: a feature is not finite .*; mend the file, or --skip-bad"):
        take(root, tmp_path / "x.npz")
    made = take(root, tmp_path / "x.npz", skip_bad=True)
    assert made.manifest.bad_rows == {"4": "not finite in x.npz", "9": "not finite in x.npz"}


ARRAYS = {
    "no features": ({"labels": LABELS}, r"has no array `features` \(or all_feats, feats, .*\); it has: labels"),
    "one dimension": ({"features": X[0]}, r"features are \(6,\) float32; features are numbers, \(N, D\)"),
    "no rows": ({"features": X[:0]}, "has no rows"),
    "no columns": ({"features": X[:, :0]}, r"features are \(50, 0\)"),
    "text": ({"features": np.array([["a"]])}, r"features are \(1, 1\) text; features are numbers"),
    "too few labels": ({"features": X, "labels": LABELS[:3]}, r"labels has the shape \(3,\), but there are 50 rows"),
    "half labels": (
        {"features": X, "labels": np.full(50, 0.5)},
        "label of row 0 is 0.5: a class is text or a whole number, -1 for none. Numbers as targets",
    ),
    "label of no class": ({"features": X, "labels": LABELS, "label_names": np.array(["a", "b"])}, "but there are 2"),
    "ids twice": ({"features": X, "ids": np.array(["a"] * 50)}, "sample id 'a' occurs twice"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_files_that_make_no_set(root, tmp_path, case) -> None:
    arrays, message = ARRAYS[case]
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(BadValue, match=message):
        take(root, tmp_path / "x.npz")
    assert not list(root.list("features"))


def test_names_and_options_that_are_wrong(root, make_set, tmp_path) -> None:
    make_set(X, {"label": LABELS})
    np.savez(tmp_path / "x.npz", features=X)
    with pytest.raises(BadValue, match=r"x.mat is not a file"):
        take(root, tmp_path / "x.mat")
    (tmp_path / "x.mat").touch()
    with pytest.raises(BadValue, match=r"x.mat: the format is told by the suffix, one of .npz, .npy, .h5"):
        take(root, tmp_path / "x.mat")
    with pytest.raises(BadValue, match="--dtype 'int8': features are stored as float16 or float32"):
        take(root, tmp_path / "x.npz", dtype="int8")
    with pytest.raises(UnknownName, match="unknown backend 'zar'; nearest: zarr"):
        take(root, tmp_path / "x.npz", backend="zar")
    with pytest.raises(BadValue, match=r"x.npz is there already: --overwrite replaces it"):
        export_file(root, tmp_path / "x.npz", "toy", "train", "a")
    export_file(root, tmp_path / "x.npz", "toy", "train", "a", overwrite=True)
    with pytest.raises(BadValue, match=r"y.txt: the format is told by the suffix"):
        export_file(root, tmp_path / "y.txt", "toy", "train", "a")
    with pytest.raises(MissingFeatures, match="toy/train/b has no features"):
        export_file(root, tmp_path / "y.npz", "toy", "train", "b")
    assert not list(tmp_path.glob("y.npz*"))


def test_an_export_that_fails_leaves_nothing(root, make_set, tmp_path) -> None:
    stored = make_set(X, {"label": LABELS}, block_rows=16)
    root.remove(stored.blocks.key(2))
    for suffix in SUFFIXES:
        with pytest.raises(OSError, match="is missing"):
            export_file(root, tmp_path / f"x{suffix}", "toy", "train", "a")
        assert not (tmp_path / f"x{suffix}").exists()
    assert not list(tmp_path.glob(".*"))


def test_repair_of_an_imported_set_says_to_import_again(root, tmp_path, capsys) -> None:
    np.savez(tmp_path / "x.npz", features=X)
    made = take(root, tmp_path / "x.npz")
    root.remove(made.blocks.key(0))
    assert main(["verify", "--repair", "--store", root.url]) == 0
    assert "python -m store import FILE --backbone new --dataset toy --split train" in capsys.readouterr().out
    assert np.array_equal(take(root, tmp_path / "x.npz").read(), X)
    assert main(["verify", "--store", root.url]) == 0
    write_set(root, X, {"label": LABELS}, backbone="other")


def test_export_by_command(root, make_set, tmp_path, capsys) -> None:
    make_set(X, {"label": LABELS})
    argv = ["export", str(tmp_path / "x.npz"), "--dataset", "toy", "--split", "train", "--features", "a,a"]
    assert main([*argv, "--store", root.url]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'x.npz'}  50 x 12\n"
    with np.load(tmp_path / "x.npz") as file:
        assert np.array_equal(file["features"], np.hstack([X, X]))
        assert np.array_equal(file["labels"], LABELS)


def test_rows_are_put_into_the_order_of_the_samples_that_are_there(root, make_set, tmp_path) -> None:
    make_set(X, {"label": LABELS})
    export_file(root, tmp_path / "x.npz", "toy", "train", "a")
    order = np.random.default_rng(1).permutation(50)
    with np.load(tmp_path / "x.npz") as file:
        ids, labels = file["ids"], file["labels"]
    np.savez(tmp_path / "other.npz", features=X[order], ids=ids[order], labels=labels[order])
    take(root, tmp_path / "other.npz")
    joined = open_features(root, "toy", "train", "a,new")
    assert np.array_equal(joined.read(), np.hstack([X, X]))
    np.savez(tmp_path / "none.npz", features=X)
    with pytest.raises(
        BadValue, match=r"none.npz has no ids, and toy has images of its own in train: save their ids as"
    ):
        take(root, tmp_path / "none.npz")
    np.savez(tmp_path / "short.npz", features=X, ids=ids[order][:20], labels=labels)
    with pytest.raises(BadValue, match=r"ids has the shape \(20,\), but there are 50 rows"):
        take(root, tmp_path / "short.npz")


def test_a_list_that_was_damaged_and_taken_away_is_written_again(root, tmp_path, capsys) -> None:
    names = [f"i{row}" for row in range(20)]
    splits = ["train" if row % 2 else "test" for row in range(20)]
    np.savez(
        tmp_path / "k.npz", features=np.eye(20, dtype=np.float32), ids=names, labels=np.arange(20) % 3, split=splits
    )
    import_file(root, tmp_path / "k.npz", "kk", "b")
    (path,) = root.folder.glob("samples/kk/train/*/ids/c.0")
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)
    main(["verify", "--repair", "--store", root.url])
    assert "store import FILE --backbone b --dataset kk --split train" in capsys.readouterr().out
    import_file(root, tmp_path / "k.npz", "kk", "b", "train")
    assert main(["verify", "--store", root.url]) == 0
    assert list(open_features(root, "kk", "train", "b").samples.ids) == names[1::2]
