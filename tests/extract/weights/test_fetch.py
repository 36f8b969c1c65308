"""Downloads end whole or not at all, whatever the server does."""

import re
import socket
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from extract.weights import fetch
from extract.weights.fetch import fetch_drive, fetch_http
from store.errors import BadValue

CONTENT = bytes(range(256)) * 4000


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(fetch, "CHUNK", 1 << 14)


def test_a_file_comes_whole(site: Any, tmp_path: Path):
    site.files["/x"] = CONTENT
    fetch_http(f"{site.url}/x", tmp_path / "deep" / "x.part", "x")
    assert (tmp_path / "deep" / "x.part").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["x.part"]


def test_a_dropped_connection_goes_on_where_it_was(site: Any, tmp_path: Path):
    site.files["/x"] = CONTENT
    site.drop_after = [300_000, 50_000]
    fetch_http(f"{site.url}/x", tmp_path / "x.part", "x")
    assert (tmp_path / "x.part").read_bytes() == CONTENT
    assert site.asked == ["", "bytes=300000-", "bytes=350000-"]


def test_a_server_without_ranges_is_read_from_the_beginning(site: Any, tmp_path: Path):
    site.files["/x"] = CONTENT
    site.ranges, site.drop_after = False, [300_000]
    fetch_http(f"{site.url}/x", tmp_path / "x.part", "x")
    assert (tmp_path / "x.part").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_not_mixed(site: Any, tmp_path: Path):
    site.files["/x"] = CONTENT
    site.drop_after, site.status = [300_000] + [0] * 9, []
    with pytest.raises(BadValue, match=re.escape(f"300000 bytes are in {tmp_path / 'x.part'}, and the same command")):
        fetch_http(f"{site.url}/x", tmp_path / "x.part", "x")
    site.files["/x"], site.drop_after = CONTENT[::-1], []
    fetch_http(f"{site.url}/x", tmp_path / "x.part", "x")
    assert (tmp_path / "x.part").read_bytes() == CONTENT[::-1]


def test_a_part_that_was_whole_already_is_kept(site: Any, tmp_path: Path):
    site.files["/x"] = CONTENT
    (tmp_path / "x.part").write_bytes(CONTENT)
    fetch_http(f"{site.url}/x", tmp_path / "x.part", "x")
    assert (tmp_path / "x.part").read_bytes() == CONTENT
    (tmp_path / "x.part").write_bytes(CONTENT + b"more")
    fetch_http(f"{site.url}/x", tmp_path / "x.part", "x")
    assert (tmp_path / "x.part").read_bytes() == CONTENT


def test_a_server_that_does_not_say_the_size_is_believed(site: Any, tmp_path: Path):
    site.files["/x"], site.says_size = CONTENT, False
    fetch_http(f"{site.url}/x", tmp_path / "x.part", "x")
    assert (tmp_path / "x.part").read_bytes() == CONTENT


def test_a_server_that_is_out_of_order_is_asked_again(site: Any, tmp_path: Path):
    site.files["/x"], site.status = CONTENT, [503, 500]
    fetch_http(f"{site.url}/x", tmp_path / "x.part", "x")
    assert len(site.asked) == 3


def test_a_file_that_is_not_there_is_not_asked_for_again(site: Any, tmp_path: Path):
    with pytest.raises(BadValue, match=r"x: http.*/y answers 404 Not Found; offline, fetch .* put it at .*/x\.pth$"):
        fetch_http(f"{site.url}/y", tmp_path / "x.pth.part", "x")
    assert site.asked == [""]
    assert not list(tmp_path.iterdir())


def test_offline_the_error_says_where_to_put_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def nowhere(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(
        BadValue, match=r"no way to http://files.invalid/x .*offline, fetch .* and put it at .*/x\.pth$"
    ):
        fetch_http("http://files.invalid/x", tmp_path / "x.pth.part", "x")


def test_a_full_disk_is_told_before_the_download(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    site.files["/x"] = CONTENT
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _path: types.SimpleNamespace(free=1000))
    with pytest.raises(BadValue, match=f"{len(CONTENT)} bytes are to come, {tmp_path} has no room for them"):
        fetch_http(f"{site.url}/x", tmp_path / "x.part", "x")


@pytest.mark.skipif(sys.platform == "win32", reason="no flock")
def test_two_processes_do_not_write_one_file(site: Any, tmp_path: Path):
    import fcntl

    with (tmp_path / "x.part").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BadValue, match="another process is fetching it"):
            fetch_http(f"{site.url}/x", tmp_path / "x.part", "x")


def test_google_drive_goes_through_gdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import gdown

    def give(*, id: str, output: str, resume: bool) -> str:  # noqa: A002
        assert (id, resume) == ("ABC", True)
        Path(output).write_bytes(CONTENT)
        return output

    monkeypatch.setattr(gdown, "download", give)
    fetch_drive("ABC", tmp_path / "x.part", "x")
    assert (tmp_path / "x.part").read_bytes() == CONTENT

    def refuse(**_kwargs: object) -> None:
        raise gdown.exceptions.FileURLRetrievalError("too many users")

    monkeypatch.setattr(gdown, "download", refuse)
    with pytest.raises(
        BadValue, match=r"give https://drive.google.com/uc\?id=ABC: too many users; fetch it .* put it at .*/y$"
    ):
        fetch_drive("ABC", tmp_path / "y.part", "x")
