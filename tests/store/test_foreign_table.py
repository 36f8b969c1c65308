"""What a column is, is told or asked for; a missing label stays missing, whatever it is written as."""

import numpy as np
import pytest

from store.errors import BadValue, UnknownName
from store.foreign_table import read_table

N = 6
X = np.arange(4.0 * N, dtype=np.float32).reshape(N, 4)
PATHS = [f"ant/{row}.png" for row in range(N)]
NAMES = ["cat", "dog", "eel", "dog", "cat", "eel"]


def npz(folder, **arrays):
    np.savez(folder / "x.npz", **{"features": X, **arrays})
    return folder / "x.npz"


def h5(folder, **arrays):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "x.h5", "w") as file:
        for name, array in {"features": X, **arrays}.items():
            file[name] = array
    return folder / "x.h5"


def parquet(folder, **columns):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"embedding": X.tolist(), **columns}), folder / "x.parquet")
    return folder / "x.parquet"


def labels(path, **options):
    table = read_table(path, **options)
    target = table.targets["label"]
    return [None if index < 0 else target.classes[index] for index in target.index]


def test_missing_labels_in_parquet(tmp_path) -> None:
    pa = pytest.importorskip("pyarrow")
    holes = ["cat", None, "eel", "", "cat", None]
    right = ["cat", None, "eel", None, "cat", None]
    assert labels(parquet(tmp_path, label=pa.array(holes).dictionary_encode())) == right
    assert labels(parquet(tmp_path, label=pa.array(holes))) == right
    assert labels(parquet(tmp_path, label=pa.array([text and text.encode() for text in holes]))) == right
    assert labels(parquet(tmp_path, label=pa.array([3, None, 77, 3, None, 2**33]))) == [
        "3",
        None,
        "77",
        "3",
        None,
        str(2**33),
    ]
    assert labels(parquet(tmp_path, label=pa.array([3, None, 77, 3, -1, 3]).dictionary_encode()))[:3] == [
        "3",
        None,
        "77",
    ]
    assert labels(parquet(tmp_path, label=pa.array([1.0, None, float("nan"), 0.0, 1.0, 1.0])))[:4] == [
        "1",
        None,
        None,
        "0",
    ]
    assert labels(parquet(tmp_path, label=pa.nulls(N))) == [None] * N
    assert labels(parquet(tmp_path, label=pa.array([b"d\xc3\xb6g"] * N))) == ["dög"] * N


def test_labels_as_numbers(tmp_path) -> None:
    assert labels(npz(tmp_path, labels=[3, 77, 5000000, 3, -1, 77])) == ["3", "77", "5000000", "3", None, "77"]
    assert labels(npz(tmp_path, labels=np.array([0, np.nan, 2, 1, 0, 2]))) == ["0", None, "2", "1", "0", "2"]
    assert labels(npz(tmp_path, labels=np.array([True, False] * 3))) == ["1", "0"] * 3
    assert labels(npz(tmp_path, labels=np.array([[0], [1]] * 3))) == ["0", "1"] * 3
    assert labels(npz(tmp_path, labels=np.array([1, 2**62] * 3, np.uint64))) == ["1", str(2**62)] * 3
    assert labels(npz(tmp_path, labels=["cat ", " cat", " ", "cat", "a b", ""])) == [
        "cat",
        "cat",
        None,
        "cat",
        "a b",
        None,
    ]
    assert labels(npz(tmp_path, labels=["10", "9", "", "10", "9", "9"])) == ["10", "9", None, "10", "9", "9"]
    assert read_table(npz(tmp_path, labels=["10", "9"] * 3)).targets["label"].classes == ("9", "10")
    assert labels(npz(tmp_path, labels=[0, 1, 2, 1, 0, -1], label_names=["a", "b", "c"])) == [
        "a",
        "b",
        "c",
        "b",
        "a",
        None,
    ]
    assert labels(npz(tmp_path, labels=[0, 1, 2, 1, 0, 2], label_names=NAMES)) == NAMES, "a name a row"


@pytest.mark.parametrize("write", [npz, h5])
def test_bytes_are_text(tmp_path, write) -> None:
    classes = [name.encode() for name in ("cat", "dög", "eel")]
    path = write(
        tmp_path, ids=np.array(PATHS, "S"), labels=[0, 1, 2] * 2, label_names=classes, group=np.array(NAMES, "S")
    )
    table = read_table(path)
    assert table.ids == PATHS
    assert table.targets["label"].classes == ("cat", "dög", "eel")
    assert table.targets["group"].classes == ("cat", "dog", "eel")


REFUSED = {
    "measured": ({"labels": X[:, 0] / 7}, r"row 1 is 0.57.*: a class is .*\(regression\) come in a later"),
    "infinite": ({"labels": np.full(N, np.inf)}, "label of row 0 is inf: a class is text or a whole number"),
    "below -1": ({"labels": [0, 1, -2, 0, 1, 1]}, "label of row 2 is -2"),
    "2**64": ({"labels": np.full(N, 2**64 - 1, np.uint64)}, "label of row 0 is 18446744073709551615"),
    "several a row": ({"labels": np.eye(N)}, r"labels has the shape \(6, 6\), but .*; several labels a row"),
    "dates": ({"label": np.array(["2020-01-01"] * N, "M8[D]")}, r"label is \(6,\) datetime64\[D\]; needed is text or"),
    "a row of no split": ({"split": ["train"] * 5 + [""], "ids": PATHS}, "row 5 has no split; every row has one, or"),
    "objects": ({"labels": np.array(NAMES, object)}, r"labels is \(6,\) Python objects.*save it as .astype\(str\)"),
    "class names of two": ({"labels": [0] * N, "label_names": np.zeros((2, 2))}, r"label_names is \(2, 2\) float64"),
    "one name, two classes": ({"labels": [0, 1] * 3, "label_names": ["a", "b", "a"]}, "0 and 2 are both named 'a'"),
    "a class without name": ({"labels": [0, 9] * 3, "label_names": ["a", "b"]}, "row 1 is 9, but there are 2 classes"),
    "bytes of no text": ({"labels": np.array([b"\xff"] * N)}, "label of row 0 is b'.xff', which is not UTF-8 text"),
    "sizes not whole": ({"sizes": [1.5] * N}, "sizes of row 0 is 1.5; sizes are those of the image files in bytes"),
    "sizes missing": ({"sizes": [3, np.nan, 3, 3, 3, 3]}, "sizes of row 1 is nan; sizes are"),
    "sizes too large": ({"sizes": [1e30] * N}, "sizes of row 0 is 1e.30; sizes are"),
    "sizes in words": ({"sizes": ["large"] * N}, "sizes of row 0 is 'large'; sizes are"),
    "ids of two": ({"ids": np.zeros((N, 2), int)}, r"ids has the shape \(6, 2\), but there are 6 rows"),
    "ids with fractions": ({"ids": X[:, 0] / 3}, "ids of row 1 is .*; needed is text or whole numbers"),
    "an id missing": ({"ids": [*PATHS[:5], ""]}, "row 5 has no ids; every image needs its id"),
    "one row or five": ({"features": X.reshape(1, N, 4)}, r"features are \(1, 6, 4\): one row, or 6\? Save x\[0\]"),
    "count of text": ({"count": np.array(9)}, "count is 9, but there are 6 rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_values_that_cannot_be_it(tmp_path, case) -> None:
    arrays, message = REFUSED[case]
    with pytest.raises(BadValue, match=message):
        read_table(npz(tmp_path, **arrays))


def test_columns_of_the_users_own_that_bear_our_names(tmp_path) -> None:
    table = read_table(npz(tmp_path, embeddings=X + 1, features=np.array(NAMES), ids=PATHS))
    assert np.array_equal(table.features, X + 1), "features is text: hers"
    table = read_table(npz(tmp_path, features=X[:, 0], feats=X, ids=PATHS))
    assert np.array_equal(table.features, X), "features is one number a row: hers"
    assert len(read_table(parquet(tmp_path, count=[2] * N, ids=PATHS))) == N, "count of something a row: hers"
    assert not read_table(npz(tmp_path, x=X[:, 0], y=X[:, 1] / 7, ids=PATHS)).targets, "x, y: a place"
    assert read_table(npz(tmp_path, targets=X, ids=PATHS)).targets == {}, "boxes: hers"
    assert read_table(npz(tmp_path, split=np.arange(N) % 5, ids=PATHS)).splits is None, "folds: hers"


def test_which_column_is_the_id(tmp_path, caplog) -> None:
    caplog.set_level("INFO")
    for name in ("image_path", "filename", "file_name", "img_path", "image_id", "key", "name", "path"):
        assert read_table(npz(tmp_path, **{name: PATHS, "caption": NAMES})).ids == PATHS
    assert "features from features, ids from image_path; not taken: caption" in caplog.text
    assert read_table(npz(tmp_path, name=NAMES, path=PATHS)).ids == PATHS, "names that repeat are of classes"
    assert read_table(npz(tmp_path, id=[5, 3, 1, 0, 2, 4])).ids == ["5", "3", "1", "0", "2", "4"]
    with pytest.raises(
        BadValue, match=r"which column names the images\? --ids photo \(or url\), or --ids none for row n"
    ):
        read_table(npz(tmp_path, photo=PATHS, url=PATHS, caption=NAMES))
    assert read_table(npz(tmp_path, photo=PATHS), ids="photo").ids == PATHS
    twice = [*PATHS[:5], PATHS[0]]
    with pytest.raises(
        BadValue, match=r"sample id 'ant/0.png' occurs twice, in rows 0 and 5 of image_path: one row an"
    ):
        read_table(npz(tmp_path, image_path=twice, caption=NAMES))
    assert read_table(npz(tmp_path, image_path=twice, url=PATHS), ids="url").ids == PATHS
    assert read_table(npz(tmp_path, id=np.arange(N) + 0.0)).ids == ["0", "1", "2", "3", "4", "5"], "as pandas writes"
    table = read_table(npz(tmp_path, photo=PATHS), ids="none")
    assert (table.ids, table.numbered) == (["0", "1", "2", "3", "4", "5"], True)
    caplog.clear()
    assert read_table(npz(tmp_path, caption=NAMES)).numbered
    assert "ids from the rows' numbers: they join only their like" in caplog.text
    with pytest.raises(UnknownName, match=r"unknown column 'foto'; nearest: photo; --ids names a column of x.npz"):
        read_table(npz(tmp_path, photo=PATHS), ids="foto")
    assert read_table(npz(tmp_path, labels=PATHS)).numbered, "labels are no ids, even where no two are the same"


def test_images_of_hugging_face_are_named_by_their_path(tmp_path) -> None:
    pa = pytest.importorskip("pyarrow")
    images = pa.array([{"bytes": b"\xff\xd8", "path": name} for name in PATHS])
    assert read_table(parquet(tmp_path, image=images, label=[0, 1] * 3)).ids == PATHS
    assert read_table(parquet(tmp_path, photo=images), ids="photo.path").ids == PATHS
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    nowhere = pa.array([{"bytes": b"\xff\xd8", "path": None}] * N, kind)
    with pytest.raises(BadValue, match=r"row 0 has no image.path; every image needs its id, or --ids none"):
        read_table(parquet(tmp_path, image=nowhere))
    assert read_table(parquet(tmp_path, image=nowhere), ids="none").numbered


def test_the_file_names_of_thingsvision_are_ids(tmp_path) -> None:
    np.save(tmp_path / "features.npy", X)
    (tmp_path / "file_names.txt").write_text("\ufeff" + "\n".join(PATHS) + "\n", encoding="utf-8")
    assert read_table(tmp_path / "features.npy").ids == PATHS
    (tmp_path / "file_names.txt").write_text("\n".join(PATHS[:4]) + "\n", encoding="utf-8")
    with pytest.raises(BadValue, match=r"file_names.txt has 4 lines, but features.npy has 6 rows; or --ids none"):
        read_table(tmp_path / "features.npy")
    assert read_table(tmp_path / "features.npy", ids="none").numbered
    np.save(tmp_path / "features.ids.npy", np.array(PATHS[::-1]))
    assert read_table(tmp_path / "features.npy").ids == PATHS[::-1], "a column that is surely of this file comes first"


def test_one_slide_of_patches(tmp_path) -> None:
    table = read_table(h5(tmp_path, features=X.reshape(1, N, 4), coords=np.zeros((1, N, 2))))
    assert np.array_equal(table.features, X)


def test_labels_of_a_text_file(tmp_path) -> None:
    text = tmp_path / "labels.txt"
    text.write_bytes("\ufeffcat\r\ndög\r\n\r\ncat\r\na\u2028b\r\ncat\r\n".encode())
    assert labels(npz(tmp_path), labels=text) == ["cat", "dög", None, "cat", "a\u2028b", "cat"]
    text.write_bytes(b"\xff\n" * N)
    with pytest.raises(BadValue, match=r"labels.txt cannot be read as text: 'utf-8'"):
        read_table(npz(tmp_path), labels=text)
    np.save(tmp_path / "labels.npy", np.array(NAMES, object))
    with pytest.raises(
        BadValue, match=r"--labels .* cannot be read as .npy: Python objects.*empty where a value is missing"
    ):
        read_table(npz(tmp_path), labels=tmp_path / "labels.npy")


def test_words_for_missing_are_classes_and_told(tmp_path, caplog) -> None:
    assert labels(npz(tmp_path, labels=["nan", "cat"] * 3)) == ["nan", "cat"] * 3
    assert "label: ['nan'] is a class like any other; where a value is missing, write an empty text" in caplog.text
