import numpy as np
import pytest

from fewshot import episode_file
from fewshot.config import Span
from fewshot.episodes import draw_set
from fewshot.lists import class_lists
from fewshot.pool import open_pool
from store.errors import BadValue, FormatError, SamplesMismatch


@pytest.fixture
def pool(root, make_set):
    for backbone in "ab":
        make_set(
            np.ones((60, 2)),
            {"label": np.arange(60) % 4},
            backbone=backbone,
            bad_rows={7: "torn"} if backbone == "b" else {},
        )
    return open_pool(root, "toy", ["train"], ["a"])


@pytest.fixture
def sets(pool):
    lists = class_lists(pool, pool.target())
    return [draw_set(lists, Span(2, 3), Span(shot, shot), 5, 40, 2, seed=0) for shot in (1, 2)]


def test_what_is_written_is_read(pool, sets, tmp_path):
    path = str(tmp_path / "e.npz")
    episode_file.write(path, sets, pool, "label")
    found = episode_file.read(path, pool)
    assert [(s.ways, s.shots, s.queries, s.repeats, len(s)) for s in found] == [
        ("2-3", "1", 5, 2, 80),
        ("2-3", "2", 5, 2, 80),
    ]
    for ours, theirs in zip(sets, found, strict=True):
        for a, b in zip(ours.batches, theirs.batches, strict=True):
            for name in ("support_EWS", "query_EWQ", "classes_EW", "number_E"):
                assert np.array_equal(getattr(a, name), getattr(b, name))
    assert list(tmp_path.glob("*.partial")) == []


def test_other_samples_are_refused(pool, sets, tmp_path, root, make_set):
    path = str(tmp_path / "e.npz")
    episode_file.write(path, sets, pool, "label")
    make_set(np.ones((61, 2)), {"label": np.arange(61) % 4}, split="test")
    with pytest.raises(SamplesMismatch, match=r"number other images: of train, samples .*; these features are of test"):
        episode_file.read(path, open_pool(root, "toy", ["test"], ["a"]))


def test_images_without_features_are_refused(pool, sets, tmp_path, root):
    path = str(tmp_path / "e.npz")
    episode_file.write(path, sets, pool, "label")
    with pytest.raises(SamplesMismatch, match=r"uses 1 images that could not be read .* first train/train/000007.png"):
        episode_file.read(path, open_pool(root, "toy", ["train"], ["b"]))


def test_files_that_are_none(pool, sets, tmp_path):
    with pytest.raises(BadValue, match=r"cannot read episodes from .*none.npz: No such file"):
        episode_file.read(str(tmp_path / "none.npz"), pool)
    (tmp_path / "text.npz").write_text("episodes")
    with pytest.raises(FormatError, match=r"text.npz is no episode file"):
        episode_file.read(str(tmp_path / "text.npz"), pool)
    np.savez(tmp_path / "pickle.npz", header=np.array([{"format": 1}], dtype=object))
    with pytest.raises(FormatError, match=r"pickle.npz is no episode file"):
        episode_file.read(str(tmp_path / "pickle.npz"), pool)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadValue, match=r"cannot write .*: a file is in the way of its folder"):
        episode_file.write(str(tmp_path / "file" / "x.npz"), sets, pool, "label")


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("0.0.number", lambda a: a + 1, "set 0 does not number its episodes through"),
        ("1.0.support", lambda a: a + 1000, "has rows"),
        ("0.1.query", lambda a: a[:-1], "the arrays of batch 0.1 do not fit together"),
        ("0.1.query", lambda a: a.astype(float), "an array of float64"),
    ],
)
def test_damaged_files(pool, sets, tmp_path, name, change, text):
    path = str(tmp_path / "e.npz")
    episode_file.write(path, sets, pool, "label")
    with np.load(path) as file:
        arrays = {key: change(file[key]) if key == name else file[key] for key in file.files}
    np.savez(path, **arrays)
    with pytest.raises(FormatError, match=text):
        episode_file.read(path, pool)


def test_a_newer_format_is_refused(pool, sets, tmp_path):
    path = str(tmp_path / "e.npz")
    np.savez(path, header=np.array('{"format": 2, "sets": []}'))
    with pytest.raises(FormatError, match=r"e.npz has format 2; this version reads 1"):
        episode_file.read(path, pool)
