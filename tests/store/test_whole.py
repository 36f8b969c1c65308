"""A file is the old one or the new one, whenever its writer stops; several files never mix."""

import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest

from store.errors import BadValue
from store.exporting import export_file
from store.foreign_files import read_columns
from store.formats import WRITERS
from store.whole import written


class Killed(BaseException):
    pass


def stop_before(monkeypatch, step: int) -> None:
    """Raise before the k-th operation that changes what the folder shows."""
    left = [step]

    def counted(whole):
        def call(*args, **kwargs):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return whole(*args, **kwargs)

        return call

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    monkeypatch.setattr(Path, "unlink", counted(Path.unlink))


@pytest.mark.parametrize("suffix", WRITERS)
def test_overwriting_is_old_or_new_wherever_it_stops(suffix, root, make_set, tmp_path, monkeypatch) -> None:
    for backbone, value, kind in (("a", 1, 0), ("b", 2, 1)):
        make_set(np.full((30, 2), value, np.float32), {"label": np.full(30, kind)}, backbone=backbone, dataset=backbone)
    path, seen = tmp_path / f"x{suffix}", set()
    for step in range(30):
        export_file(root, path, "a", "train", "a", overwrite=True)
        with monkeypatch.context() as patch:
            stop_before(patch, step)
            try:
                export_file(root, path, "b", "train", "b", overwrite=True)
                done = True
            except Killed:
                done = False
        if path.exists():
            arrays = {name: column.load(path) for name, column in read_columns(path).items()}
            value = int(np.asarray(arrays["features"][:]).mean())
            assert (np.asarray(arrays["labels"]) == value - 1).all()
            seen.add(value)
        else:
            assert suffix == ".npy"  # several files: for a moment neither, but never a mixture
        if done:
            assert value == 2
            break
    assert seen == {1, 2}
    export_file(root, path, "b", "train", "b", overwrite=True)
    assert not list(tmp_path.glob(".*.partial"))


def test_features_alone_are_replaced_in_one_rename(root, make_set, tmp_path, monkeypatch) -> None:
    """Another backbone over the same images: ids and labels stay, so there is always a whole export."""
    for backbone in "ab":
        make_set(np.full((30, 2), ord(backbone), np.float32), {"label": np.arange(30)}, backbone=backbone)
    path = tmp_path / "x.npy"
    export_file(root, path, "toy", "train", "a")
    for step in range(30):
        with monkeypatch.context() as patch:
            stop_before(patch, step)
            try:
                export_file(root, path, "toy", "train", "b", overwrite=True)
            except Killed:
                assert np.load(path)[0, 0] in (ord("a"), ord("b"))
            else:
                break
    assert np.load(path)[0, 0] == ord("b")


def test_columns_that_the_new_export_has_not_go_with_the_old(root, make_set, tmp_path) -> None:
    y = np.arange(30) % 2
    make_set(np.zeros((30, 2), np.float32), {"label": y, "group": y, "site": y})
    make_set(np.zeros((30, 2), np.float32), {"site": y}, split="val")
    path, theirs = tmp_path / "x.npy", [tmp_path / "x.mine.npy", tmp_path / "y.labels.npy"]
    for other in theirs:
        np.save(other, y)
    export_file(root, path, "toy", "train", "a")
    export_file(root, path, "toy", "val", "a", overwrite=True)
    names = {"x.npy", "x.ids.npy", "x.sizes.npy", "x.content.npy", "x.target_site.npy", "x.target_site_names.npy"}
    assert {one.name for one in tmp_path.glob("*.npy")} == names | {one.name for one in theirs}


def test_what_a_killed_writer_left_goes_and_a_living_one_stays(tmp_path) -> None:
    orphan = tmp_path / f".x.{'a' * 32}.partial"
    for path in (orphan, tmp_path / ".y.partial", tmp_path / f".xy.{'a' * 32}.partial"):
        path.write_bytes(b"half")
    with written(tmp_path / "x") as one:
        one.write(b"one")
        with written(tmp_path / "x") as two:
            two.write(b"two")
    assert (tmp_path / "x").read_bytes() == b"one"
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".xy.{'a' * 32}.partial", ".y.partial", "x"]


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_full_disk_is_one_line_and_keeps_the_old_file(suffix, root, make_set, tmp_path) -> None:
    make_set(np.random.default_rng(0).normal(size=(3000, 64)).astype(np.float32), {"label": np.zeros(3000, int)})
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"old")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
        with pytest.raises(BadValue, match=r"cannot write .*x\..*: File too large"):
            export_file(root, path, "toy", "train", "a", overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert not list(tmp_path.glob(".x*"))


def test_a_folder_or_a_file_in_the_way(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file" / "x", tmp_path / ("n" * 300)):
        with pytest.raises(BadValue, match="cannot write"), written(path) as file:
            file.write(b"x")
