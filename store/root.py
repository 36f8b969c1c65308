"""Where the store lies: a folder or an S3 prefix. The only file that knows which.

A root maps keys ("features/.../x/c.0.0") to whole objects. An object appears under its name complete or not at all.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from store.errors import BadValue, RootError

DEFAULT_ROOT = "data/features"
_PARTIAL = ".partial"

Bytes = Any
"""bytes, memoryview or a C-contiguous numpy array."""


class Root(Protocol):
    url: str

    def put(self, key: str, data: Bytes) -> None:
        """Store an object; durable when this returns. Replaces what was there, at once."""

    def put_new(self, key: str, data: Bytes) -> bool:
        """Store an object if there is none; False if there was. Of several callers one wins."""

    def get(self, key: str) -> bytes:
        """Raises `FileNotFoundError`."""

    def get_tail(self, key: str, length: int) -> bytes:
        """The last `length` bytes of an object, without reading the rest."""

    def size(self, key: str) -> int | None:
        """Bytes of an object; None if there is none."""

    def list(self, prefix: str) -> dict[str, int | None]:
        """What lies directly below `prefix`: objects with their size, folders with None."""

    def remove(self, prefix: str) -> None:
        """Delete an object or all below a folder; nothing there is no error."""

    def path(self, key: str) -> Path | None:
        """The file of a key, for memory mapping; None where there are no files."""

    def free_bytes(self) -> int | None:
        """Room left, where that is known."""


def default_root() -> str:
    return os.environ.get("FEATURE_STORE", DEFAULT_ROOT)


def open_root(url: str | Path | None = None) -> Root:
    """Open a store by path or `s3://bucket/prefix`; None takes $FEATURE_STORE or data/features. Creates nothing."""
    url = str(url or default_root())
    if url.startswith("s3://"):
        from store.s3 import S3Root

        return S3Root(url)
    if "://" in url:
        raise BadValue(f"store {url!r}: only folders and s3://bucket/prefix are known")
    return LocalRoot(Path(url).expanduser())


@contextmanager
def _explained(root: Path, doing: str) -> Iterator[None]:
    """Turn what the operating system says about the store into an error that says what to do."""
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        advice = {
            errno.ENOSPC: "the disk is full: free some room or give another --store, then run the same command again",
            errno.EDQUOT: "your quota is used up: free some room, then run the same command again",
            errno.EFBIG: "the file-size limit is too low (ulimit -f): raise it, then run the same command again",
            errno.EROFS: "it is read-only: give another --store",
            errno.EACCES: "you may not write there: change its permissions or give another --store",
            errno.EPERM: "you may not write there: change its permissions or give another --store",
            errno.ENOTDIR: "a file is in the way of a folder: give another --store",
        }.get(error.errno or 0, f"{error.strerror or error}")
        raise RootError(f"store {root}: cannot {doing}; {advice}. What was committed is untouched") from error


class LocalRoot:
    """A folder. Objects are written to a temporary file, synced, and renamed into place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = str(folder)

    def _write_partial(self, target: Path, data: Bytes) -> Path:
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}{_PARTIAL}")
        try:
            with partial.open("xb", buffering=0) as file:
                view = memoryview(data).cast("B")
                while view:
                    view = view[file.write(view) :]
                os.fsync(file.fileno())
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return partial

    def put(self, key: str, data: Bytes) -> None:
        target = self.folder / key
        with _explained(self.folder, f"write {key}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._write_partial(target, data).replace(target)
            _sync_folder(target.parent)

    def put_new(self, key: str, data: Bytes) -> bool:
        target = self.folder / key
        with _explained(self.folder, f"write {key}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = self._write_partial(target, data)
            try:
                os.link(partial, target)  # unlike a rename, a link fails where something is already
            except FileExistsError:
                return False
            finally:
                partial.unlink()
            _sync_folder(target.parent)
            return True

    def get(self, key: str) -> bytes:
        with _explained(self.folder, f"read {key}"):
            return (self.folder / key).read_bytes()

    def get_tail(self, key: str, length: int) -> bytes:
        with _explained(self.folder, f"read {key}"), (self.folder / key).open("rb") as file:
            file.seek(-length, os.SEEK_END)
            return file.read()

    def size(self, key: str) -> int | None:
        try:
            return (self.folder / key).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def list(self, prefix: str) -> dict[str, int | None]:
        try:
            with _explained(self.folder, f"list {prefix}"), os.scandir(self.folder / prefix) as entries:
                return {
                    entry.name: None if entry.is_dir() else entry.stat().st_size
                    for entry in entries
                    if not entry.name.endswith(_PARTIAL)
                }
        except FileNotFoundError:
            return {}

    def remove(self, prefix: str) -> None:
        target = self.folder / prefix
        with _explained(self.folder, f"remove {prefix}"):
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)

    def path(self, key: str) -> Path | None:
        return self.folder / key

    def free_bytes(self) -> int | None:
        folder = self.folder.absolute()
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
