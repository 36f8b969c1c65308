"""Files beside the store that appear whole or not at all: exports, episode files, pages."""

import fcntl
import filecmp
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from store.errors import BadValue, UserError

_PARTIAL = r"\.{}\.[0-9a-f]{{32}}\.partial"


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """A file open for writing and reading that has its name, durably, when the block ends without an error.

    What killed writers of the same file left half-written is removed. Raises `BadValue`: it cannot be written; what
    was there before is untouched.
    """
    with written_together([path]) as (file,):
        yield file


def _named(path: Path) -> Path:
    """Raises `BadValue`: the path ends in no name."""
    if not path.name:
        raise BadValue(f"{str(path)!r} is no name of a file: give one")
    return path


@contextmanager
def written_together(paths: Sequence[Path], stale: Sequence[Path] = ()) -> Iterator[Sequence[IO[bytes]]]:
    """Several files of one folder, of which the last is the one that is asked for: it is there only with its others.

    All are written before the first gets its name. Where the others are as they were, the last one takes the old one's
    place in one rename. Else the old last file goes first and the new one comes last, so that no moment shows files of
    two writings with it. `stale` files belong to the old last file, and go with it. Raises `BadValue`.
    """
    folder, last = paths[-1].parent, paths[-1]
    partials = [_named(path).with_name(f".{path.name}.{uuid.uuid4().hex}.partial") for path in paths]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            if path.is_dir():
                raise BadValue(f"cannot write {path}: a folder is there")
            _remove_orphans(path)
        with ExitStack() as stack:
            files = [stack.enter_context(partial.open("xb+")) for partial in partials]
            for file in files:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
            changed = [pair for pair in zip(partials[:-1], paths[:-1], strict=True) if not _same(*pair)]
            if changed or stale:
                for old in (last, *stale):
                    old.unlink(missing_ok=True)
                    sync_folder(folder)
            for partial, path in (*changed, (partials[-1], last)):
                partial.replace(path)
            sync_folder(folder)
    except UserError:
        raise
    except (FileExistsError, NotADirectoryError) as error:
        raise BadValue(f"cannot write {last}: a file is in the way of its folder") from error
    except OSError as error:
        raise BadValue(f"cannot write {last}: {error.strerror or error}") from error
    finally:
        for partial in partials:
            with suppress(OSError):
                partial.unlink()


def _same(partial: Path, path: Path) -> bool:
    return path.is_file() and filecmp.cmp(partial, path, shallow=False)


def _remove_orphans(path: Path) -> None:
    """What writers of this file left that were killed: a living one holds a lock."""
    ours = re.compile(_PARTIAL.format(re.escape(path.name)))
    for partial in path.parent.iterdir():
        if ours.fullmatch(partial.name):
            with suppress(OSError), partial.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                partial.unlink()


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
