"""Whether `csv:FILE` and `folder:PATH` are still what was extracted: labels, splits, file names, pictures.

What is looked at costs little: the list's bytes, or the folder's file names, and the times of the files. Only a file
whose time is another than at its extraction is read, and its content compared.
"""

import hashlib
import logging
import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

import numpy as np

from store.concat import Concat
from store.errors import SamplesMismatch, UserError
from store.fingerprint import IMPORTED
from store.habits import is_hidden
from store.keys import dataset_name, user_path
from store.listing import Listing, read_listing
from store.overlap import contents
from store.root import Root, store_flag
from store.sample_files import samples_folder
from store.samples import Samples
from store.writer import content_hash

log = logging.getLogger("store")

MANY = 1000
"""Files whose reading is told."""


def place(source: str) -> Path | None:
    """The file or folder of `csv:FILE` or `folder:PATH`; None: another dataset, or it is not there."""
    kind, _, text = source.partition(":")
    if kind not in ("csv", "folder"):
        return None
    path = user_path(text)
    return path if (path.is_file() if kind == "csv" else path.is_dir()) else None


def digest(source: str) -> str:
    """64 hex digits over a list's bytes, or over the names of all files in a folder; empty where there is none.

    Times, sizes and places do not count: a copy elsewhere is the same.
    """
    path = place(source)
    if path is None:
        return ""
    if source.startswith("csv:"):
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    found = hashlib.sha256()
    for name in sorted(_names(path)):
        found.update(os.fsencode(name) + b"\n")
    return found.hexdigest()


def _names(top: Path) -> Iterator[str]:
    """Every file below a folder, by its path; links are followed, once each."""
    seen = set[tuple[int, int]]()
    for where, below, names in os.walk(top, followlinks=True):
        info = os.stat(where)  # noqa: PTH116
        if (info.st_dev, info.st_ino) in seen:
            below.clear()
            continue
        seen.add((info.st_dev, info.st_ino))
        below[:] = [name for name in below if not is_hidden(name)]
        inside = os.path.relpath(where, top)
        yield from (f"{inside}/{name}" for name in names if not is_hidden(name))


def file_times(top: Path, samples: Samples) -> np.ndarray:
    """(N,) int64: when each sample's file last changed (ctime, ns), -1 where it is not there.

    A file that is put in the place of another, whatever date it carries, has another ctime.
    """
    return np.fromiter((_time(f"{top}/{sample}") for sample in samples.ids), np.int64, len(samples))


def _time(path: str) -> int:
    try:
        info = os.stat(path)  # noqa: PTH116 -- twice as fast
    except (OSError, ValueError):
        return -1
    return info.st_ctime_ns if stat.S_ISREG(info.st_mode) else -1


def known_times(root: Root, samples: Samples) -> np.ndarray | None:
    """(N,) int64: the times at which the files were as they were extracted; None where nobody noted them."""
    try:
        data = root.get(f"{samples_folder(samples.dataset, samples.split, samples.id)}/times")
    except FileNotFoundError:
        return None
    return np.frombuffer(data, "<i8") if len(data) == 8 * len(samples) else None


def note_times(root: Root, samples: Samples, times_N: np.ndarray) -> None:
    """Remember that the files as of these times are what is stored of them."""
    where = f"{samples_folder(samples.dataset, samples.split, samples.id)}/times"
    root.put(where, np.ascontiguousarray(times_N, "<i8").tobytes())


def relabel_command(root: Root, source: str) -> str:
    return f"python -m extract --relabel --dataset {shlex.quote(source)}{store_flag(root)}"


def check_source(root: Root, dataset: str, splits: Mapping[str, Concat]) -> None:
    """Raise `SamplesMismatch` where the source of a dataset is at hand and is another than that of these features.

    `dataset` as the user named it: `csv:FILE` and `folder:PATH` are compared; a name takes the store as it is, and
    changes are told in the log. The text has the one command that takes the changes over.
    """
    listing = read_listing(root, dataset_name(dataset))
    named = place(dataset) is not None
    source = dataset if named else listing.source if listing else dataset
    if listing is None or place(source) is None or dataset_name(source) != listing.dataset:
        return
    problem = _changed_list(root, source, listing) or _changed_pictures(root, source, listing, splits)
    if problem and named:
        raise SamplesMismatch(problem)
    if problem:
        log.warning(problem)


def _changed_list(root: Root, source: str, listing: Listing) -> str:
    if digest(source) == listing.digest:
        return ""
    what = "other bytes" if source.startswith("csv:") else "other files"
    return (
        f"{source} has {what} than when it was last read ({listing.created}): its labels, splits or images may have "
        f"changed. Take over what it says now, without a network: {relabel_command(root, source)}"
    )


def _changed_pictures(root: Root, source: str, listing: Listing, splits: Mapping[str, Concat]) -> str:
    path = place(source)
    assert path is not None
    for split, x in splits.items():
        samples = x.parts[0].samples
        if samples.dataset != listing.dataset or listing.splits.get(split) != samples.id:
            continue
        top = (path if path.is_dir() else path.parent) / listing.folders.get(split, "")
        since = min(part.manifest.made_at for part in x.parts)
        changed = replaced_rows(root, top, samples, contents(x, np.arange(len(x))), _kept(x), since)
        if changed:
            manifests = [part.manifest for part in x.parts]
            extracted = dict.fromkeys(m.backbone for m in manifests if m.parts["architecture"] != IMPORTED)
            names = ",".join(extracted)
            command = f"python -m extract --backbone {names} --dataset {shlex.quote(source)}{store_flag(root)}"
            return (
                f"{len(changed)} of {len(samples)} images of {listing.dataset}/{split} are other pictures than those "
                f"that these features are of, first {samples.ids[changed[0]]!r}. "
                + (f"Extract again, only they go through the network: {command}" if names else
                   f"Take that over, {relabel_command(root, source)}; then import features of the present pictures")
            )  # fmt: skip
    return ""


def _kept(x: Concat) -> np.ndarray:
    return np.arange(len(x)) if x.rows is None else x.rows


def replaced_rows(
    root: Root, top: Path, samples: Samples, hashes_n: np.ndarray, rows_n: np.ndarray, since: float
) -> list[int]:
    """Rows whose file below `top` holds other bytes than its content hash says, ascending.

    Args:
        hashes_n: (n,) void of 16 bytes, zeros where no image was seen.
        rows_n: (n,) the rows of `samples` that they belong to.
        since: seconds since 1970; where nobody noted the times, files that changed later are read.
    A file that is not there, or leads out of `top`, is not compared. Where all are the same, their times are noted, so
    that they need not be read again.
    """
    known, now = known_times(root, samples), file_times(top, samples)
    if known is None:
        known = np.where(now > since * 1e9, -1, now)
    seen = hashes_n.view(np.uint8).reshape(len(hashes_n), -1).any(axis=1)
    others = np.flatnonzero(seen & (now[rows_n] != known[rows_n]) & (now[rows_n] >= 0)).tolist()
    if len(others) >= MANY:
        log.info("%s/%s: reading %d files whose times are others", samples.dataset, samples.split, len(others))
    changed = []
    for i in others:
        row = int(rows_n[i])
        if (found := file_hash(top, samples.ids[row])) and found != hashes_n[i].tobytes():
            changed.append(row)
    if others and not changed:
        same = known.copy()
        same[rows_n[others]] = now[rows_n[others]]
        with suppress(UserError):  # a store that is only read
            note_times(root, samples, same)
    return changed


def file_hash(top: Path, sample: str) -> bytes:
    """The content hash of a sample's file, 16 bytes; none where there is no such file below `top`."""
    parts = PurePosixPath(sample.replace("\\", "/"))
    try:
        if parts.is_absolute() or ".." in parts.parts or not stat.S_ISREG((top / sample).stat().st_mode):
            return b""
        return content_hash((top / sample).read_bytes())
    except (OSError, ValueError):
        return b""
