"""Take the wanted files out of an archive. No path of the archive is ever written to: each goes where we say."""

import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from store.errors import BadValue


class Member(NamedTuple):
    name: str
    kind: str
    """file, folder or link (anything else that an archive can hold)."""
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, wanted: Mapping[str, Path]) -> list[str]:
    """Copy the members called as `wanted`'s keys, in whichever folder, to its values; returns the names found.

    Raises BadValue for a file that is no archive, holds nothing wanted, or reaches out of its folder (an absolute
    path, `..`, a link). Nothing is written then.
    """
    with ExitStack() as stack:
        try:
            members = list(_members(archive, stack))
            for member in members:
                _refuse_unsafe(archive, member)
            found = {name: m for m in members if m.kind == "file" and (name := PurePosixPath(m.name).name) in wanted}
            if not found:
                names = ", ".join(member.name for member in members[:5])
                raise BadValue(f"{archive}: it holds none of {', '.join(wanted)}; it holds {names or 'nothing'}")
            for name, member in found.items():
                wanted[name].parent.mkdir(parents=True, exist_ok=True)
                with member.open() as source, wanted[name].open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
            raise BadValue(f"{archive}: not a whole archive ({error}); fetch it again") from error
    return list(found)


def _members(archive: Path, stack: ExitStack) -> Iterator[Member]:
    if zipfile.is_zipfile(archive):
        zipped = stack.enter_context(zipfile.ZipFile(archive))
        for info in zipped.infolist():
            link = stat.S_ISLNK(info.external_attr >> 16)
            kind = "link" if link else "folder" if info.is_dir() else "file"
            yield Member(info.filename, kind, lambda info=info: zipped.open(info))  # type: ignore[misc]
        return
    if not tarfile.is_tarfile(archive):
        raise BadValue(f"{archive}: neither a tar nor a zip archive; fetch it again")
    tar = stack.enter_context(tarfile.TarFile.open(archive))
    for entry in tar:
        kind = "file" if entry.isreg() else "folder" if entry.isdir() else "link"
        yield Member(entry.name, kind, lambda entry=entry: tar.extractfile(entry))  # type: ignore[misc,arg-type]


def _refuse_unsafe(archive: Path, member: Member) -> None:
    path = PurePosixPath(member.name.replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", member.name)
    if outside or member.kind == "link":
        why = "leads out of its folder" if outside else "is a link or a device"
        raise BadValue(f"{archive}: refused, nothing was unpacked: its member {member.name!r} {why}")
