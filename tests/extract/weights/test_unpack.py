"""Archives give the wanted files and nothing else; one that reaches out of its folder is refused whole."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from extract.weights.unpack import unpack
from store.errors import BadValue


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
