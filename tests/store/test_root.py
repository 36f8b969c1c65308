"""Roots: an object is there whole or not at all, on disk and on S3."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from store.errors import BadValue, RootError
from store.root import default_root, open_root


@pytest.fixture(params=["root", "s3_root"])
def any_root(request):
    return request.getfixturevalue(request.param)


def test_objects(any_root) -> None:
    root = any_root
    root.put("a/b/one", b"123456")
    root.put("a/b/one", memoryview(b"12345"))
    assert root.get("a/b/one") == b"12345"
    assert root.get_range("a/b/one", 1, 3) == b"234"
    assert (root.size("a/b/one"), root.size("a/b"), root.size("a/b/two")) == (5, root.size("a/b"), None)
    with pytest.raises(FileNotFoundError):
        root.get("a/b/two")
    with pytest.raises(FileNotFoundError):
        root.get_range("a/b/two", 0, 1)


def test_listing(any_root) -> None:
    root = any_root
    assert root.list("a") == {}
    for key in ("a/one", "a/two", "a/deep/three", "ab/four", "a/run@e10=x+y%3A!"):
        root.put(key, key.encode())
    assert root.list("a") == {"one": 5, "two": 5, "deep": None, "run@e10=x+y%3A!": 17}
    assert abs(root.times("a")["one"] - time.time()) < 60
    assert set(root.times("a")) == {"one", "two", "run@e10=x+y%3A!"}


def test_removing(any_root) -> None:
    root = any_root
    for key in ("a/one", "a/deep/two", "a/deeper/three", "ab/four"):
        root.put(key, b"x")
    root.remove("a/nothing")
    root.remove("a/one")
    root.remove("a/deep")
    assert root.list("a") == {"deeper": None}
    root.remove("a/deeper/three")
    assert root.list("a") == {}, "a folder is there as long as something is in it"
    assert root.get("ab/four") == b"x"


def test_of_several_callers_one_is_first(any_root) -> None:
    won: list[int] = []
    threads = [
        threading.Thread(target=lambda i=i: any_root.put_new("a/one", bytes([i])) and won.append(i)) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert any_root.get("a/one") == bytes(won)
    assert any_root.list("a") == {"one": 1}


def test_put_new_where_there_are_no_hard_links(root, monkeypatch) -> None:
    def link(a, b):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert root.put_new("one", b"1")
    assert not root.put_new("one", b"2")
    assert root.get("one") == b"1"
    assert root.list("") == {"one": 1}


def test_every_object_is_synced_before_it_has_its_name(root, monkeypatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink()))
    root.put("a/one", b"1")
    root.put_new("a/two", b"2")
    folder = root.path("a")
    assert [path.parent if path.suffix == ".partial" else path for path in synced] == [
        root.folder.parent, root.folder, folder, folder, folder, folder,
    ]  # fmt: skip
    assert synced[2].name.startswith(".one.")


def test_partial_files_are_not_listed(root) -> None:
    root.put("a/one", b"1")
    name = f".two.{'0' * 32}.partial"
    root.path(f"a/{name}").write_bytes(b"")
    root.path("a/.theirs.partial").write_bytes(b"")
    assert root.list("a") == {"one": 1}
    assert root.partials(0) == [f"a/{name}"]
    assert root.partials(60) == []


def test_a_hold_lasts_as_long_as_its_holder(root) -> None:
    root.put("one", b"")
    assert root.held("one") is False
    first, second = root.hold("one"), root.hold("one")
    assert root.held("one") is True
    del first
    assert root.held("one") is True
    del second
    assert root.held("one") is False
    assert root.held("two") is False


def test_where_the_store_is(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("FEATURE_STORE", raising=False)
    assert default_root() == "data/features"
    monkeypatch.setenv("FEATURE_STORE", str(tmp_path))
    assert open_root().url == str(tmp_path)
    assert open_root("~/x").url == str(Path("~/x").expanduser())
    with pytest.raises(BadValue, match=r"store 'gs://x': only folders and s3://bucket/prefix are known"):
        open_root("gs://x")
    with pytest.raises(BadValue, match=r"store 's3://': name a bucket"):
        open_root("s3://")


def test_free_bytes_of_a_store_that_is_not_made_yet(root, s3_root) -> None:
    assert root.free_bytes() > 0
    assert not root.folder.exists()
    assert s3_root.free_bytes() is None


def test_a_root_that_cannot_be_made_says_so(tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RootError, match=r"file: cannot write a; a file is in the way of a folder"):
        open_root(tmp_path / "file").put("a", b"1")
    with pytest.raises(RootError, match=r"/proc/none: no folder can be made there: give another --store"):
        open_root("/proc/none").put("a", b"1")


def test_a_rename_that_fails_leaves_nothing(root, monkeypatch) -> None:
    def fail(self: Path, target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(RootError, match="cannot write a/one"):
        root.put("a/one", b"1")
    assert list(root.path("a").iterdir()) == []


def test_nothing_behind_a_link_is_removed(root, tmp_path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "file").write_bytes(b"theirs")
    root.put("a/one", b"1")
    root.path("a/away").symlink_to(outside)
    for key in ("a/away", "a/away/deep", "a/away/deep/file"):
        assert root.link(key) == "a/away"
        with pytest.raises(RootError, match="a/away is a link, which is never followed"):
            root.remove(key)
    assert root.link("a/one") is None
    root.remove("a")  # the link goes, what it points at stays
    assert root.list("") == {}
    assert (outside / "deep" / "file").read_bytes() == b"theirs"


@pytest.mark.parametrize("to", ["loop", "nothing"])
def test_a_link_that_leads_nowhere_is_listed_and_cannot_be_read(root, to) -> None:
    root.put("a/one", b"1")
    root.path("a/loop").symlink_to(to)
    assert root.list("a") == {"one": 1, "loop": len(to)}, "as an object, so that it can be told"
    assert root.size("a/loop") is None
    with pytest.raises(FileNotFoundError):
        root.get("a/loop")


def test_the_newest_object_lies_anywhere_below(any_root) -> None:
    any_root.put("a/b/c/d", b"1")
    assert abs(any_root.newest("a") - time.time()) < 60
    assert any_root.newest("nothing") is None
