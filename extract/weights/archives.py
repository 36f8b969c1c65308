"""Archives as streams that are checked to their last byte and that expand no further than is credible."""

import bz2
import gzip
import lzma
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from store.errors import BadValue, RootError, UserError
from store.tables import bytes_text

CHUNK = 1 << 20
MOST_EXPANSION, ALWAYS_ALLOWED = 100, 16 << 20
"""An archive may unpack to so many times its size; or to so many bytes, where that is more."""
COMPRESSIONS: dict[bytes, Callable[[Path], IO[bytes]]] = {
    b"\x1f\x8b": cast("Any", gzip.open),
    b"BZh": cast("Any", bz2.open),
    b"\xfd7zXZ": cast("Any", lzma.open),
    b"\x5d\0\0": cast("Any", lzma.open),
}
"""How a compressed file begins."""


@contextmanager
def reading(archive: Path) -> Iterator[None]:
    """Whatever a damaged archive makes a library raise, as `BadValue`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # their own errors, those of zlib and lzma, OSError, RuntimeError for encrypted ones
        foreign = isinstance(error, RuntimeError)  # encrypted, or a method that is not known here
        what = "an archive that cannot be read here" if foreign else "not a whole archive"
        mend = "unpack it yourself" if foreign else "fetch it again"
        raise BadValue(f"{archive}: {what} ({error or type(error).__name__}); {mend}") from error


def most_bytes(archive: Path) -> int:
    """To how many bytes an archive may unpack."""
    return max(ALWAYS_ALLOWED, MOST_EXPANSION * archive.stat().st_size)


def check_size(archive: Path, size: int) -> None:
    """Raise `BadValue` where an archive says that it unpacks to more than `most_bytes`."""
    if size > (most := most_bytes(archive)):
        raise BadValue(
            f"{archive}: refused, nothing was unpacked: it unpacks to more than {bytes_text(most)}, "
            f"{MOST_EXPANSION} times its size; if you trust it, unpack it yourself"
        )


def check_free(archive: Path, folder: Path, size: int) -> None:
    """Raise `RootError` where `size` bytes do not fit into `folder`."""
    if size > (free := shutil.disk_usage(folder).free):
        raise RootError(
            f"{archive} unpacks to {bytes_text(size)}, {folder} has {bytes_text(free)} free: free some room"
        )


@contextmanager
def open_tar(archive: Path) -> Iterator[tarfile.TarFile]:
    """A tar archive, compressed or not. What follows its last member is read too: the checksum stands at the end.

    Raises `BadValue`: no tar archive, a damaged one (also when the block ends), or one that expands too far.
    """
    with reading(archive):
        with archive.open("rb") as file:
            start = file.read(8)
        opener = next((opener for magic, opener in COMPRESSIONS.items() if start.startswith(magic)), None)
        with opener(archive) if opener else archive.open("rb") as file:
            stream = _Bounded(archive, file)
            try:
                tar = tarfile.open(fileobj=cast("Any", stream), mode="r:")  # noqa: SIM115 (closed below)
            except tarfile.ReadError as error:
                if opener:
                    raise
                raise BadValue(f"{archive}: neither a tar nor a zip archive; fetch it again") from error
            with tar:
                yield tar
                while stream.read(CHUNK):
                    pass


class _Bounded:
    """As much of a stream's interface as `tarfile` uses; to read beyond `most_bytes` raises `BadValue`."""

    def __init__(self, archive: Path, file: IO[bytes]) -> None:
        self.archive, self.file, self.most = archive, file, most_bytes(archive)

    def tell(self) -> int:
        return self.file.tell()

    def seek(self, to: int) -> int:
        check_size(self.archive, to)
        return self.file.seek(to)

    def read(self, size: int) -> bytes:
        data = self.file.read(min(size, self.most + 1 - self.file.tell()))
        check_size(self.archive, self.file.tell())
        return data
