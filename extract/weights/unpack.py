"""Take the wanted files out of an archive. No path of the archive is ever written to: each goes where we say."""

import re
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from extract.weights.archives import CHUNK, check_free, check_size, open_tar, reading
from store.errors import BadValue, RootError, UserError


class Member(NamedTuple):
    name: str
    kind: str
    """file, folder or link (anything else that an archive can hold)."""
    size: int
    """Bytes, as the archive says."""
    open: Callable[[], IO[bytes]]

    @property
    def file(self) -> str:
        """Its name without folders."""
        return PurePosixPath(self.name).name


def unpack(archive: Path, wanted: Mapping[str, Path]) -> list[str]:
    """Copy the members called as `wanted`'s keys, in whichever folder, to its values; returns the names found.

    Every byte is compared with the checksums that the archive has.

    Raises `BadValue` for a file that is no archive, is damaged, encrypted, holds nothing wanted or one twice, expands
    beyond measure, or reaches out of its folder (an absolute path, `..`, a link). `RootError`: it cannot be written.
    Nothing is left of it then.
    """
    made: list[Path] = []
    try:
        with ExitStack() as stack:
            members = _members(archive, stack)
            found = _found(archive, members, wanted)
            for member in members:
                if member.kind == "file":
                    target = wanted.get(member.file)
                    made += [target] if target else []
                    _copy(archive, member, target, sum(one.size for one in found.values()))
    except BaseException:
        for target in made:
            target.unlink(missing_ok=True)
        raise
    return list(found)


def _copy(archive: Path, member: Member, target: Path | None, room: int) -> None:
    """Read a member to its end; where there is a target, into it, if its folder has room for so many bytes."""
    if target is None:
        for _ in _chunks(archive, member):
            pass
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        check_free(archive, target.parent, room)
        with target.open("wb") as file:
            for chunk in _chunks(archive, member):
                file.write(chunk)
    except OSError as error:
        if isinstance(error, UserError):
            raise
        raise RootError(
            f"cannot unpack {archive} to {target}: {error.strerror}; mend that, and run it again"
        ) from error


def _chunks(archive: Path, member: Member) -> Iterator[bytes]:
    with reading(archive):
        source = member.open()
    with source:
        while True:
            with reading(archive):
                chunk = source.read(CHUNK)
            if not chunk:
                return
            yield chunk


def _found(archive: Path, members: Sequence[Member], wanted: Mapping[str, Path]) -> dict[str, Member]:
    """What is wanted, in the archive's order; nothing is read yet but names."""
    for member in members:
        _refuse_unsafe(archive, member)
    check_size(archive, sum(member.size for member in members))
    files = [member for member in members if member.kind == "file" and member.file in wanted]
    if not files:
        names = ", ".join(member.name for member in members[:5])
        raise BadValue(f"{archive}: it holds none of {', '.join(wanted)}; it holds {names or 'nothing'}")
    twice = [name for name, count in Counter(member.file for member in files).items() if count > 1]
    if twice:
        where = ", ".join(member.name for member in files if member.file == twice[0])
        raise BadValue(f"{archive}: it holds {twice[0]} more than once ({where}); unpack it yourself and keep one")
    return {member.file: member for member in files}


def _members(archive: Path, stack: ExitStack) -> list[Member]:
    with archive.open("rb") as file:
        start = file.read(4)
    if start in (b"PK\x03\x04", b"PK\x05\x06"):
        with reading(archive):
            zipped = stack.enter_context(zipfile.ZipFile(archive))
            return [
                Member(info.filename, _kind(info), info.file_size, lambda info=info: zipped.open(info))  # type: ignore[misc]
                for info in zipped.infolist()
            ]
    tar = stack.enter_context(open_tar(archive))
    members = []
    with reading(archive):
        for entry in tar:
            kind = "file" if entry.isreg() else "folder" if entry.isdir() else "link"
            members.append(Member(entry.name, kind, entry.size, lambda entry=entry: tar.extractfile(entry)))  # type: ignore[misc,arg-type]
    return members


def _kind(info: zipfile.ZipInfo) -> str:
    return "link" if stat.S_ISLNK(info.external_attr >> 16) else "folder" if info.is_dir() else "file"


def _refuse_unsafe(archive: Path, member: Member) -> None:
    path = PurePosixPath(member.name.replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", member.name)
    if outside or member.kind == "link":
        why = "leads out of its folder" if outside else "is a link or a device"
        raise BadValue(f"{archive}: refused, nothing was unpacked: its member {member.name!r} {why}")
