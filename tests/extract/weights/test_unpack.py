"""Archives give the wanted files and nothing else; one that reaches out of its folder is refused whole."""

import errno
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from extract.weights.unpack import unpack
from store.errors import BadValue, RootError


def tar(path: Path, members: dict[str, bytes], mode: str = "w:gz", links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return path


def zipped(path: Path, members: dict[str, bytes], links: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        for name in links:
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
    return path


@pytest.mark.parametrize("make", [tar, zipped])
def test_the_wanted_files_come_out_under_our_names(make, tmp_path: Path):
    archive = make(tmp_path / "a", {"resnet50/run0.pth": b"zero", "resnet50/run1.pth": b"one", "readme": b"?"})
    wanted = {f"run{i}.pth": tmp_path / "out" / f"ours{i}" for i in range(3)}
    assert unpack(archive, wanted) == ["run0.pth", "run1.pth"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        "ours0": b"zero",
        "ours1": b"one",
    }


@pytest.mark.parametrize("make", [tar, zipped])
@pytest.mark.parametrize("name", ["../run0.pth", "/tmp/run0.pth", "a/../../run0.pth", "C:\\run0.pth", "..\\run0.pth"])
def test_a_path_out_of_the_folder_is_refused(make, name: str, tmp_path: Path):
    archive = make(tmp_path / "a", {"run1.pth": b"one", name: b"evil"})
    with pytest.raises(BadValue, match=r"refused, nothing was unpacked: its member .* leads out of its folder"):
        unpack(archive, {"run0.pth": tmp_path / "out" / "0", "run1.pth": tmp_path / "out" / "1"})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_link_is_refused(tmp_path: Path):
    for archive in (
        tar(tmp_path / "a", {"run1.pth": b"one"}, links={"run0.pth": "/etc/passwd"}),
        zipped(tmp_path / "b", {"run1.pth": b"one"}, links=("run0.pth",)),
    ):
        with pytest.raises(BadValue, match=r"its member 'run0.pth' is a link or a device"):
            unpack(archive, {"run1.pth": tmp_path / "out"})
    assert not (tmp_path / "out").exists()


def test_what_is_no_archive_or_holds_nothing_wanted_is_told(tmp_path: Path):
    (tmp_path / "a").write_text("<html>")
    with pytest.raises(BadValue, match="a: neither a tar nor a zip archive; fetch it again"):
        unpack(tmp_path / "a", {"run0.pth": tmp_path / "out"})
    with pytest.raises(BadValue, match=r"it holds none of run0\.pth; it holds other$"):
        unpack(tar(tmp_path / "b", {"other": b""}), {"run0.pth": tmp_path / "out"})
    whole = tar(tmp_path / "c", {"run0.pth": bytes(range(256)) * 1000}).read_bytes()
    (tmp_path / "c").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadValue, match="c: not a whole archive"):
        unpack(tmp_path / "c", {"run0.pth": tmp_path / "out"})


CONTENT = bytes(np.random.default_rng(0).integers(0, 256, 5000, np.uint8))


def kinds(folder: Path) -> dict[str, Path]:
    """The same files in every kind of archive that checks what it holds."""
    members = {"run0.pth": CONTENT, "readme": CONTENT[:100]}
    made = {mode: tar(folder / f"a.{mode}", members, f"w:{mode}") for mode in ("gz", "bz2", "xz")}
    return made | {"zip": zipped(folder / "a.zip", members)}


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zip"])
def test_a_damaged_archive_is_refused_or_gives_the_same_bytes(kind: str, tmp_path: Path):
    archive, rng, same = kinds(tmp_path)[kind], np.random.default_rng(1), 0
    whole = archive.read_bytes()
    out = tmp_path / "out" / "run0.part"
    for at in (*rng.integers(0, len(whole), 30), *range(len(whole) - 12, len(whole)), *range(12)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(8))
        for content in (bytes(damaged), whole[:at]):
            archive.write_bytes(content)
            try:
                unpack(archive, {"run0.pth": out})
                assert out.read_bytes() == CONTENT
                same += 1
                out.unlink()
            except BadValue:
                assert not out.exists()
    assert same < 30  # dates, owners and comments of the archive itself; padding


def test_a_plain_tar_that_ends_too_early_is_refused(tmp_path: Path):
    archive = tar(tmp_path / "a", {"run0.pth": CONTENT}, "w:")
    archive.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(BadValue, match="not a whole archive"):
        unpack(archive, {"run0.pth": tmp_path / "out"})


def test_a_tar_that_ends_in_a_zip_is_a_tar(tmp_path: Path):
    inner = zipped(tmp_path / "inner.pth", {"x/data.pkl": b"."}).read_bytes()
    archive = tar(tmp_path / "a", {"run0.pth": inner}, "w:")
    assert unpack(archive, {"run0.pth": tmp_path / "out"}) == ["run0.pth"]
    assert (tmp_path / "out").read_bytes() == inner


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "zip", "unwanted"])
def test_what_expands_beyond_measure_is_refused(mode: str, tmp_path: Path):
    members = {"run0.pth" if mode != "unwanted" else "other": bytes(20 << 20), "run1.pth": b""}
    archive = tmp_path / "a"
    if mode == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
            for name, content in members.items():
                made.writestr(name, content)
    else:
        tar(archive, members, "w:gz" if mode == "unwanted" else mode)
    with pytest.raises(BadValue, match=r"unpacks to more than 16\.8 MB, 100 times its size"):
        unpack(archive, {"run0.pth": tmp_path / "out", "run1.pth": tmp_path / "out1"})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_without_room_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = tar(tmp_path / "a", {"run0.pth": CONTENT})
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=4999))
    with pytest.raises(RootError, match=r"unpacks to 5 kB, .* has 5 kB free: free some room"):
        unpack(archive, {"run0.pth": tmp_path / "out"})
    monkeypatch.undo()
    monkeypatch.setattr("extract.weights.unpack._chunks", full)
    with pytest.raises(RootError, match=r"cannot unpack .*: No space left on device"):
        unpack(archive, {"run0.pth": tmp_path / "out"})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def full(*_: object) -> Iterator[bytes]:
    yield b"the first bytes"
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_encrypted_archive_and_an_unknown_method_are_told(tmp_path: Path):
    whole = bytearray(zipped(tmp_path / "a", {"run0.pth": CONTENT}).read_bytes())
    central = whole.index(b"PK\1\2")
    for at, value, says in ((8, 1, "is encrypted"), (10, 97, "compression method is not supported")):
        damaged = bytearray(whole)
        damaged[central + at] = damaged[at - 2] = value
        (tmp_path / "a").write_bytes(damaged)
        with pytest.raises(BadValue, match=rf"an archive that cannot be read here \(.*{says}"):
            unpack(tmp_path / "a", {"run0.pth": tmp_path / "out"})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("make", [tar, zipped])
def test_a_name_that_occurs_twice_is_refused(make, tmp_path: Path):
    archive = make(tmp_path / "a", {"x/run0.pth": b"zero", "y/run0.pth": b"one"})
    with pytest.raises(BadValue, match=r"holds run0.pth more than once \(x/run0.pth, y/run0.pth\)"):
        unpack(archive, {"run0.pth": tmp_path / "out"})
