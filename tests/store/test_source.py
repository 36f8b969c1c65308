"""Whether a list or a folder is still the same: names count; places, times and what systems leave there do not."""

import os
import shutil
import time
from pathlib import Path

import numpy as np

from store.root import Root
from store.samples import Samples
from store.source import digest, file_hash, file_times, known_times, note_times, place, replaced_rows
from store.writer import content_hash


def made(top: Path) -> Path:
    for name in ("train/cat/1.png", "train/dog/2.png"):
        (top / name).parent.mkdir(parents=True)
        (top / name).write_bytes(name.encode())
    return top


def test_a_copy_is_the_same_and_a_name_is_not(tmp_path: Path) -> None:
    top = made(tmp_path / "a")
    first = digest(f"folder:{top}")
    assert len(first) == 64
    shutil.copytree(top, tmp_path / "b")
    assert digest(f"folder:{tmp_path / 'b'}") == first
    for junk in ("Thumbs.db", ".DS_Store", "train/@eaDir/x.png", "train/cat/.1.png.swp", "__MACOSX/1.png"):
        (top / junk).parent.mkdir(exist_ok=True)
        (top / junk).write_bytes(b"junk")
        assert digest(f"folder:{top}") == first, junk
    os.utime(top / "train/cat/1.png", (1, 1))
    assert digest(f"folder:{top}") == first
    (top / "train/cat/1.png").rename(top / "train/dog/1.png")
    assert digest(f"folder:{top}") != first


def test_links_in_a_circle_and_what_is_no_file(tmp_path: Path) -> None:
    top = made(tmp_path / "a")
    (top / "train/cat/again").symlink_to(top)
    os.mkfifo(top / "train/cat/pipe.png")
    assert len(digest(f"folder:{top}")) == 64
    samples = Samples("toy", "train", ["cat/pipe.png", "cat/1.png", "../train/cat/1.png", "none.png"], np.zeros(4))
    assert (file_times(top / "train", samples) > 0).tolist() == [False, True, True, False]
    found = [file_hash(top / "train", name) for name in samples.ids]
    assert found == [b"", content_hash(b"train/cat/1.png"), b"", b""]


def test_only_what_is_there_has_a_place(tmp_path: Path) -> None:
    top = made(tmp_path / "a")
    (tmp_path / "list.csv").write_text("path,label\n")
    assert place(f"folder:{top}") == top
    assert place(f"csv:{tmp_path / 'list.csv'}") == tmp_path / "list.csv"
    for absent in (f"csv:{top}", f"folder:{tmp_path / 'list.csv'}", f"folder:{tmp_path / 'c'}", "openmoji", "csv:"):
        assert place(absent) is None, absent
        assert not digest(absent), absent
    assert digest(f"csv:{tmp_path / 'list.csv'}") != digest(f"folder:{top}")


def test_only_files_of_another_time_are_read(root: Root, tmp_path: Path, monkeypatch) -> None:
    top = made(tmp_path / "a") / "train"
    samples = Samples("toy", "train", ["cat/1.png", "dog/2.png"], np.array([15, 15]))
    hashes = np.array([content_hash(f"train/{name}".encode()) for name in samples.ids], "V16")
    assert known_times(root, samples) is None
    later = time.time() + 9
    assert replaced_rows(root, top, samples, hashes, np.arange(2), later) == [], "no file is newer than the set"
    note_times(root, samples, file_times(top, samples))
    read = []
    monkeypatch.setattr("store.source.file_hash", lambda top, name: read.append(name) or file_hash(top, name))
    assert replaced_rows(root, top, samples, hashes, np.arange(2), 0.0) == []
    assert read == []
    (top / "cat/1.png").write_bytes(b"train/cat/1.png")
    (top / "dog/2.png").write_bytes(b"train/dog/3.png")
    assert replaced_rows(root, top, samples, hashes, np.arange(2), 0.0) == [1]
    assert read == ["cat/1.png", "dog/2.png"]
    assert replaced_rows(root, top, samples, hashes[1:], np.array([1]), 0.0) == [1], "one row was left out"
    root.put(f"samples/toy/train/{samples.id}/times", b"damaged")
    assert known_times(root, samples) is None
