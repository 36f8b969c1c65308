"""Bring one file here over HTTP or from Google Drive: resumed where it stopped, and never half under its own name."""

import http.client
import logging
import re
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from store.errors import BadValue
from store.runtime import Progress

log = logging.getLogger("download")
CHUNK = 1 << 20
TIMEOUT_SECONDS = 60.0
TRIES = 5
"""In a row without a single byte; every byte that comes starts the count anew."""
PAUSE_SECONDS = 2.0


def fetch_http(url: str, part: Path, what: str) -> None:
    """Write the file at `url` to `part`, going on where `part` ends.

    A server that knows no ranges, or whose file has changed since, is read from the beginning. Raises BadValue when
    the address does not answer, or answers with an error; what has come stays in `part`.
    """
    offline = f"offline, fetch {url} elsewhere and put it at {part.with_suffix('')}"
    with _alone(part):
        for pause in _pauses(part):
            time.sleep(pause)
            try:
                if _fetch_rest(url, part, what):
                    _tag(part).unlink(missing_ok=True)
                    return
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 416:  # the part is whole already, or longer than the file now is
                    if error.headers.get("Content-Range") == f"bytes */{part.stat().st_size}":
                        return
                    _restart(part)
                elif error.code < 500:
                    raise BadValue(f"{what}: {url} answers {error.code} {error.reason}; {offline}") from error
            except (OSError, http.client.HTTPException) as error:
                if isinstance(getattr(error, "reason", None), socket.gaierror):
                    raise BadValue(f"{what}: no way to {url} ({error.reason}); {offline}") from error  # type: ignore[union-attr]
                log.info("%s: %s; trying again", what, error or type(error).__name__)
        raise BadValue(
            f"{what}: {url} does not answer, or breaks off; {part.stat().st_size} bytes are in {part}, and the same "
            f"command goes on from there; {offline}"
        )


def _pauses(part: Path) -> Iterator[float]:
    """Seconds before each try, doubled while nothing comes."""
    yield 0
    idle, before = 0, 0
    while idle < TRIES - 1:
        now = part.stat().st_size
        idle, before = (0, now) if now > before else (idle + 1, before)
        yield PAUSE_SECONDS * (2**idle - 1)


def _fetch_rest(url: str, part: Path, what: str) -> bool:
    """One request; whether the file is whole afterwards."""
    start = part.stat().st_size
    request = urllib.request.Request(url, headers={"User-Agent": "motherlode", "Accept-Encoding": "identity"})  # noqa: S310
    if start:
        request.add_header("Range", f"bytes={start}-")
        if _tag(part).exists():
            request.add_header("If-Range", _tag(part).read_text())
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 (from our own table)
        if start and answer.status != 206:
            _restart(part)
            start = 0
        if tag := answer.headers.get("ETag") or answer.headers.get("Last-Modified"):
            _tag(part).write_text(tag)
        total = _total(answer.headers, start, part)
        if total is not None and total - start > shutil.disk_usage(part.parent).free:
            raise BadValue(f"{what}: {total - start} bytes are to come, {part.parent} has no room for them")
        with part.open("ab") as file, Progress((total or 0) >> 20, what, "MiB") as progress:
            _copy(answer, file, progress, start)
        if total is None:
            return True
        return part.stat().st_size == total


def _total(headers: http.client.HTTPMessage, start: int, part: Path) -> int | None:
    """The size of the whole file, as the answer tells it."""
    if span := headers.get("Content-Range"):
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", span)
        if match is None or int(match[1]) != start:
            _restart(part)
            raise http.client.HTTPException(f"the server sent {span}, not from byte {start} on")
        return int(match[2])
    return int(headers["Content-Length"]) if "Content-Length" in headers else None


def _copy(answer: IO[bytes], file: IO[bytes], progress: Progress, start: int) -> None:
    done = start
    progress.update(start >> 20)
    while chunk := answer.read(CHUNK):
        try:
            file.write(chunk)
        except OSError as error:  # no answer that breaks off: trying again is of no use
            raise BadValue(f"cannot write {file.name}: {error.strerror}; mend that, and run the same again") from error
        progress.update(((done + len(chunk)) >> 20) - (done >> 20))
        done += len(chunk)


def _tag(part: Path) -> Path:
    """Beside the part: which version of the file it is of (ETag, or the date)."""
    return part.with_name(f"{part.name}.tag")


def _restart(part: Path) -> None:
    part.write_bytes(b"")
    _tag(part).unlink(missing_ok=True)


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Two processes that append to one file would spoil it."""
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows: no lock, no second process
            pass
        except OSError as error:
            raise BadValue(f"{part}: another process is fetching it; wait for that one, or end it") from error
        try:
            yield
        finally:
            if not part.stat().st_size:
                part.unlink()


def fetch_drive(drive: str, part: Path, what: str) -> None:
    """Write the Google Drive file `drive` to `part`; gdown answers Drive's questions about large files."""
    import gdown

    part.parent.mkdir(parents=True, exist_ok=True)
    address = f"https://drive.google.com/uc?id={drive}"
    failed = f"{what}: Google Drive did not give {address}"
    offline = f"fetch it with a browser and put it at {part.with_suffix('')}"
    try:
        done = gdown.download(id=drive, output=str(part), resume=True)
    except Exception as error:
        raise BadValue(f"{failed}: {error}; {offline}") from error
    if done is None or not part.is_file():
        raise BadValue(f"{failed}, its daily quota may be used up; {offline}")
