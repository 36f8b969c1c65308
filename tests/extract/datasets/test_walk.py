"""What lies in a folder of images besides images."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from extract.datasets import open_dataset, splits_of
from extract.datasets.walk import image_files
from store.errors import BadImage, BadValue


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path, "PNG")
    return path


@pytest.mark.parametrize(
    "name",
    [
        ".ipynb_checkpoints/1-checkpoint.png",
        "@eaDir/1.png/SYNOPHOTO_THUMB_M.png",
        ".Trash-1000/files/1.png",
        ".thumbnails/1.png",
        "__MACOSX/1.png",
        "deeper/@eaDir/1.png",
        "$RECYCLE.BIN/1.png",
        "#recycle/1.png",
        "System Volume Information/1.png",
        "._1.png",
        ".1.png",
    ],
)
@pytest.mark.parametrize("top", ["train/cat", "train"])
def test_what_tools_leave_is_no_image(name: str, top: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture(tmp_path / "train/cat/1.png")
    (tmp_path / "train/cat/Thumbs.db").write_bytes(b"")
    (tmp_path / "train/cat/.DS_Store").write_bytes(b"")
    picture(tmp_path / top / name)
    assert open_dataset(f"folder:{tmp_path}", "train").samples.ids == ["cat/1.png"]
    if name.count("/") or top != "train":
        assert "train: 1 hidden files and folders are left out: " in caplog.text


def test_each_folder_is_listed_by_itself(tmp_path: Path) -> None:
    for name in ("a/2.png", "a/1.png", "a-b/1.png", "c.png/d/1.PNG"):
        picture(tmp_path / name)
    assert image_files(tmp_path, ["a", "a-b"]) == {"a": ["a/1.png", "a/2.png"], "a-b": ["a-b/1.png"]}
    assert image_files(tmp_path, [""]) == {"": ["a-b/1.png", "a/1.png", "a/2.png", "c.png/d/1.PNG"]}


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(os.path.relpath(path))


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _itself(path: Path) -> None:
    path.symlink_to(path.name)


def _nowhere(path: Path) -> None:
    path.symlink_to("gone.png")


@pytest.mark.parametrize("make", [_pipe, _socket, _endless, _itself, _nowhere])
def test_what_is_no_regular_file_is_never_read(make: Callable[[Path], None], tmp_path: Path) -> None:
    picture(tmp_path / "train/cat/1.png")
    make(tmp_path / "train/cat/2.png")
    name = f"folder:{tmp_path}"
    with pytest.raises(BadImage, match=r"1 of 2 files are not below .*, or are no regular files, the first is 'cat/2"):
        open_dataset(name, "train")
    images = open_dataset(name, "train", allow_absent=True)
    assert images.samples.sizes[1] == 0
    why = r"2\.png: (Too many levels|No such file)" if make in (_itself, _nowhere) else r"2\.png is no regular file"
    with pytest.raises(BadImage, match=why):
        images.read(1)


def test_a_file_as_large_as_a_disk_is_not_read(tmp_path: Path) -> None:
    picture(tmp_path / "train/cat/1.png")
    with (tmp_path / "train/cat/2.png").open("wb") as file:
        file.truncate(1 << 40)
    images = open_dataset(f"folder:{tmp_path}", "train")
    with pytest.raises(BadImage, match=r"2\.png has 1099511627776 bytes"):
        images.read(1)


def test_layouts_that_are_no_class_folders_get_advice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    flat = picture(tmp_path / "flat/1.png").parent
    with pytest.raises(BadValue, match=r"no class folders, only 1 images such as 1\.png; put .*--dataset csv:FILE"):
        splits_of(f"folder:{flat}")
    picture(tmp_path / "wrapped/photos/train/cat/1.png")
    with pytest.raises(BadValue, match=r"its only folder holds the splits train: --dataset folder:/.*/wrapped/photos$"):
        splits_of(f"folder:{tmp_path / 'wrapped'}")
    assert splits_of(f"folder:{tmp_path / 'wrapped/photos'}") == ("train",)
    for name in ("cat/Train/1.png", "dog/test/1.png"):
        picture(tmp_path / "within" / name)
    splits_of(f"folder:{tmp_path / 'within'}")
    assert "its classes hold the folders Train (cat/Train), which are not taken as splits" in caplog.text
    for name in ("train/1.png", "test/1.png"):
        picture(tmp_path / "bare" / name)
    splits_of(f"folder:{tmp_path / 'bare'}")
    assert "test, train are taken as classes, since they hold no class folders" in caplog.text
    for name in ("train/cat/1.png", "train/loose.png"):
        picture(tmp_path / "mixed" / name)
    assert open_dataset(f"folder:{tmp_path / 'mixed'}", "train").samples.ids == ["cat/1.png"]
    assert "1 images are left out, in no class folder: loose.png" in caplog.text
