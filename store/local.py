"""A folder as a root. Objects are written to a temporary file, synced, and renamed into place."""

import errno
import fcntl
import os
import re
import shutil
import stat
import time
import uuid
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from store.errors import RootError
from store.root import Bytes
from store.whole import sync_folder

_PARTIAL = ".partial"
_OUR_PARTIAL = re.compile(r"\..+\.[0-9a-f]{32}\.partial", re.DOTALL)
"""Other programs leave files of that ending too."""


@contextmanager
def _explained(root: Path, doing: str) -> Iterator[None]:
    """Turn what the operating system says about the store into an error that says what to do."""
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link that leads to itself: nothing is there
            raise FileNotFoundError(errno.ENOENT, error.strerror, error.filename) from error
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
    """Implements `Root`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = str(folder)
        self._seen = _identity(folder)

    def check_there(self) -> None:
        now = _identity(self.folder)
        if self._seen is not None and now != self._seen:
            what = "is gone" if now is None else "is another folder now"
            raise RootError(f"store {self.folder} {what}: mount or restore it, then run the same command again")
        self._seen = now

    def _write_partial(self, target: Path, data: Bytes) -> Path:
        for again in (True, True, False):
            self.check_there()
            try:
                _make_folder(target.parent)
                break
            except FileNotFoundError as error:  # another process removed a folder that was empty
                if not again:
                    raise RootError(f"store {self.url}: no folder can be made there: give another --store") from error
        self.check_there()
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
            partial = self._write_partial(target, data)
            try:
                partial.replace(target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            sync_folder(target.parent)

    def put_new(self, key: str, data: Bytes) -> bool:
        target = self.folder / key
        with _explained(self.folder, f"write {key}"):
            if target.exists():
                return False
            partial = self._write_partial(target, data)
            try:
                os.link(partial, target)  # unlike a rename, a link fails where something is already
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                    raise
                partial.replace(target)  # no hard links here: the last of several equals wins
            finally:
                partial.unlink(missing_ok=True)
            sync_folder(target.parent)
            return True

    def get(self, key: str) -> bytes:
        with _explained(self.folder, f"read {key}"):
            return (self.folder / key).read_bytes()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        with _explained(self.folder, f"read {key}"), (self.folder / key).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def size(self, key: str) -> int | None:
        with suppress(FileNotFoundError), _explained(self.folder, f"read {key}"), suppress(NotADirectoryError):
            return (self.folder / key).stat().st_size
        return None

    def _entries(self, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        try:
            with _explained(self.folder, f"list {prefix}"), os.scandir(self.folder / prefix) as entries:
                for entry in entries:
                    if not entry.name.endswith(_PARTIAL) and (info := _stat(entry)) is not None:
                        yield entry.name, info
        except FileNotFoundError:
            self.check_there()

    def list(self, prefix: str) -> dict[str, int | None]:
        return {name: None if stat.S_ISDIR(info.st_mode) else info.st_size for name, info in self._entries(prefix)}

    def times(self, prefix: str) -> dict[str, float]:
        return {name: info.st_mtime for name, info in self._entries(prefix) if not stat.S_ISDIR(info.st_mode)}

    def newest(self, prefix: str) -> float | None:
        unread: list[OSError] = []
        moments = []
        for folder, _, names in os.walk(self.folder / prefix, onerror=unread.append):
            for name in names:
                try:
                    moments.append((Path(folder) / name).lstat().st_mtime)
                except FileNotFoundError:  # removed since
                    continue
        known = all(isinstance(error, FileNotFoundError) for error in unread)
        return max(moments, default=None) if known else None

    def link(self, key: str) -> str | None:
        above = [Path(key), *Path(key).parents][-2::-1]  # from the top down
        return next((str(part) for part in above if (self.folder / part).is_symlink()), None)

    def remove(self, prefix: str) -> None:
        target = self.folder / prefix
        if link := self.link(prefix):
            raise RootError(f"store {self.url}: cannot remove {prefix}: {link} is a link, which is never followed")
        with _explained(self.folder, f"remove {prefix}"):
            _remove(target)
            with suppress(OSError):  # until one is not empty
                for parent in target.relative_to(self.folder).parents[:-1]:
                    (self.folder / parent).rmdir()

    def hold(self, key: str) -> object:
        return _Hold(self.folder / key)

    def held(self, key: str) -> bool | None:
        try:
            with (self.folder / key).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        except OSError:
            return None
        return False

    def path(self, key: str) -> Path | None:
        return self.folder / key

    def free_bytes(self) -> int | None:
        folder = self.folder.absolute()
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def partials(self, older_than: float) -> Sequence[str]:
        limit, found = time.time() - older_than, list[str]()
        for folder, _, names in os.walk(self.folder):
            for path in (Path(folder) / name for name in names if _OUR_PARTIAL.fullmatch(name)):
                with suppress(FileNotFoundError):  # renamed into place since
                    info = path.lstat()
                    if stat.S_ISREG(info.st_mode) and info.st_mtime < limit:
                        found.append(str(path.relative_to(self.folder)))
        return sorted(found)


class _Hold:
    """A shared lock on a file. The kernel drops it with the process: nothing is left to clean."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, fd)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(fd, fcntl.LOCK_SH)


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """What lies there; of a link that leads nowhere, the link. None: removed since."""
    try:
        return entry.stat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            raise
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def _identity(folder: Path) -> tuple[int, int] | None:
    """Which folder this is: an unmounted one has the same path, but another device."""
    try:
        info = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return info.st_dev, info.st_ino


def _remove(target: Path) -> None:
    """Remove a file or a tree, which others may be removing too. Links below are removed, not followed."""
    for again in (True, True, True, False):
        try:
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        except FileNotFoundError:
            if not again:
                raise
        else:
            return


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, durable."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        try:
            new.mkdir(exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, "Not a folder", str(new)) from error
        sync_folder(new.parent)
