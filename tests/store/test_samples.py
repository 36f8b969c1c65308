from pathlib import Path

import numpy as np
import pytest

from store import sample_files, samples
from store.errors import BadValue, FormatError, MissingFeatures, UnknownName
from store.root import open_root
from store.sample_files import load_samples, samples_folder, save_samples
from store.samples import Samples, Targets
from tests.conftest import make_samples

IDS = ["a.png", "ünï/cödé ☃.jpg", "", "line\nbreak", "x" * 300, "z z", "7"]


def made(ids=IDS, **targets) -> Samples:
    columns = {name: Targets.from_names(name, names) for name, names in targets.items()}
    return Samples("toy", "train", ids, np.arange(len(ids)), columns)


def test_a_list_comes_back_as_it_was(root, monkeypatch) -> None:
    monkeypatch.setattr("store.columns.COLUMN_BYTES", 16)  # so that every column has several blocks
    monkeypatch.setattr(samples, "CHUNK", 2)
    monkeypatch.setattr(sample_files, "CHUNK", 2)
    listed = made(label=list("aabbcca"), hospital=list("1212121"))
    save_samples(root, listed)
    loaded = load_samples(root, "toy", "train", listed.id)
    assert (len(loaded), loaded.id, loaded.dataset, loaded.split) == (7, listed.id, "toy", "train")
    assert list(loaded.ids) == IDS
    assert loaded.ids[1:6:2] == IDS[1:6:2]
    assert loaded.ids[::-2] == IDS[::-2]
    assert (loaded.ids[-1], loaded.ids[4], loaded.ids[3:3]) == (IDS[-1], IDS[4], [])
    with pytest.raises(IndexError):
        loaded.ids[7]
    assert loaded.sizes.tolist() == listed.sizes.tolist()
    assert list(loaded.targets) == ["hospital", "label"]
    assert loaded.label.tolist() == [0, 0, 1, 1, 2, 2, 0]
    assert loaded.target("hospital").classes == ("1", "2")
    assert Samples("toy", "train", loaded.ids, loaded.sizes).id == listed.id


def test_loading_reads_nothing_but_the_header(root, monkeypatch) -> None:
    listed = made(label=list("aabbcca"))
    save_samples(root, listed)
    asked: list[str] = []
    path, get = root.path, root.get
    monkeypatch.setattr(type(root), "path", lambda self, key: asked.append(key) or path(key))
    monkeypatch.setattr(type(root), "get", lambda self, key: asked.append(key) or get(key))
    loaded = load_samples(root, "toy", "train", listed.id)
    assert {key.rpartition("/")[2] for key in asked} == {"samples.json", "zarr.json"}
    asked.clear()
    assert loaded.ids[0] == "a.png"
    assert {key.split("/")[4] for key in asked} == {"ids", "offsets", "sizes"}, "they are hashed"


def test_the_id_is_of_names_sizes_and_order() -> None:
    one = made()
    assert one.id == made(label=list("abababa")).id
    others = [made(IDS[:-1]), made([*IDS[:-1], "8"]), made(IDS[::-1]), Samples("toy", "train", IDS, np.arange(7) + 1)]
    assert len({one.id, *(other.id for other in others)}) == 5
    assert one.id == "7cf59d570b8d33830380588f05a0f55b67bbf49b19a30339f206f218633d5f90", "the id of format 1"


@pytest.mark.parametrize("bad", ["nul\0", "\udcff.png"])
def test_ids_that_are_no_text(bad) -> None:
    with pytest.raises(BadValue, match=r"toy/train: sample id .* is not Unicode text: rename the file"):
        _ = made(["a", bad]).id


def test_an_id_twice(root) -> None:
    with pytest.raises(BadValue, match="toy/train: sample id 'b' occurs twice"):
        save_samples(root, made(["a", "b", "c", "b"]))
    with pytest.raises(BadValue, match="toy/train has no samples"):
        save_samples(root, made([]))
    assert not root.folder.exists()


def test_relabelling_makes_the_new_targets_current(root) -> None:
    first, second = made(label=list("aabbcca")), made(label=list("aabbccb"))
    below = save_samples(root, first)
    column = f"{below}/targets/label"
    assert root.get(f"{column}/current").decode() == first.target().hash
    save_samples(root, second)
    assert root.get(f"{column}/current").decode() == second.target().hash
    assert set(root.list(column)) == {"current", first.target().hash, second.target().hash}
    save_samples(root, first)
    assert load_samples(root, "toy", "train", first.id).label.tolist() == first.label.tolist()


def test_targets_that_fit_no_class() -> None:
    for index, row in (([0, 1, 2], 2), ([0, -2, 1], 1)):
        message = rf"target column 'label': sample {row} has class {index[row]}, but there are 2 classes \(0 to 1"
        with pytest.raises(BadValue, match=message):
            Targets("label", ("a", "b"), np.array(index))
    assert Targets("label", ("a",), np.array([-1, 0])).index.tolist() == [-1, 0]
    with pytest.raises(UnknownName, match="unknown class of target column 'label' 'cat s'; nearest: cats"):
        Targets.from_names("label", ["cats", "cat s"], classes=["cats", "dogs"])
    with pytest.raises(BadValue, match="7 samples, but target column 'label' has 2 rows"):
        Samples("toy", "train", IDS, np.arange(7), {"label": Targets("label", ("a",), np.zeros(2, int))})
    with pytest.raises(BadValue, match="7 sample ids, but 3 sizes"):
        Samples("toy", "train", IDS, np.arange(3))


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(UnknownName, match=r"column of toy/train 'lable'; nearest: label; there are: label, style"):
        made(label=list("aabbcca"), style=list("aabbcca")).target("lable")


def test_names_of_columns_stay_in_their_folder(root) -> None:
    with pytest.raises(BadValue, match=r"target column name '../x' cannot be stored"):
        Targets("../x", ("a",), np.zeros(1, int))
    save_samples(root, made(**{"a:b": list("aabbcca")}))
    assert load_samples(root, "toy", "train", made().id).target("a:b").classes == ("a", "b", "c")


def test_samples_that_are_not_there_or_newer(root) -> None:
    with pytest.raises(MissingFeatures, match="is missing: run the command that made it again"):
        load_samples(root, "toy", "train", "0" * 64)
    listed = made()
    save_samples(root, listed)
    for text in (b"{", b"[]", b'{"format": 2}'):
        root.put(f"{samples_folder('toy', 'train', listed.id)}/samples.json", text)
        with pytest.raises(FormatError, match=r"samples.json is not of format 1, which is what this version reads"):
            load_samples(root, "toy", "train", listed.id)


def test_take() -> None:
    taken = made(label=list("aabbcca")).take(np.array([6, 1]))
    assert (list(taken.ids), taken.sizes.tolist(), taken.label.tolist()) == (["7", IDS[1]], [6, 1], [0, 0])


def test_many_columns_are_the_same_as_few(tmp_path: Path) -> None:
    root, many = open_root(tmp_path), {f"c{k}": np.arange(9) % (k + 2) for k in range(30)}
    samples = make_samples("toy", "train", many, {})
    save_samples(root, samples)
    stored = load_samples(root, "toy", "train", samples.id).targets
    assert sorted(stored) == sorted(many)
    assert all(stored[name].hash == samples.targets[name].hash for name in many)
    other = make_samples("toy", "train", many | {"c17": np.arange(9) % 4}, {})
    with pytest.raises(BadValue, match="has these samples with another 'c17': --relabel replaces"):
        save_samples(root, other, relabel=False)
    save_samples(root, other)
    assert load_samples(root, "toy", "train", samples.id).targets["c17"].hash == other.targets["c17"].hash
