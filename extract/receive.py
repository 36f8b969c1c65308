"""Bring the weights of a backbone below the root: fetch, check what came, pin its sha256, and only then name it."""

import logging
from pathlib import Path

from extract.backbones import BACKBONES, Backbone
from extract.fetch import fetch_drive, fetch_http
from extract.unpack import unpack
from extract.weights import LICENCES, Weights, candidates, pin_of, roots, verify_file
from store.errors import BadValue

log = logging.getLogger("download")


def receive(row: Backbone, weights: Weights, root: str | None) -> tuple[Path, str, bool]:
    """The file of `row`'s weights, its sha256, and whether it had to be fetched.

    Raises BadValue: not published, no answer, or what came is not weights of this backbone; then nothing lies under
    the file's name.
    """
    for path in candidates(weights, root):
        if weights.path and path.is_file():
            return path, verify_file(row.name, path, weights.sha256), False
    top = roots(root)[0]
    target = top / weights.path
    if not weights.source:
        raise BadValue(f"{row.name}: its weights are not published; put yours at {target}, or pass --weights FILE")
    log.info("%s: %s: %s", row.name, weights.licence, LICENCES[weights.licence])
    part = _part(target)
    if weights.archive:
        _from_archive(row, weights, top)
    else:
        _bring(row.name, weights, part)
        _accept(row, weights, part, target)
    return target, verify_file(row.name, target, weights.sha256), True


def _bring(name: str, weights: Weights, part: Path) -> None:
    if weights.url:
        fetch_http(weights.url, part, name)
    else:
        fetch_drive(weights.drive, part, name)


def _accept(row: Backbone, weights: Weights, part: Path, target: Path) -> None:
    """Give `part` its name if it holds what its backbones need; a file that does not is put aside as `.rejected`."""
    from extract.loading import check_file  # torch loads here

    name = row.name
    try:
        check_file(name, weights, part)
        sha256 = verify_file(name, part, weights.sha256)
    except BadValue as error:
        rejected = target.with_name(f"{target.name}.rejected")
        part.replace(rejected)
        raise BadValue(f"{name}: what came from {weights.source} is kept as {rejected}: {error}") from error
    pin_of(target).write_text(f"{sha256}  {target.name}\n")
    part.replace(target)
    log.info("%s: sha256 %s pinned in %s", name, sha256, pin_of(target))


def _from_archive(row: Backbone, weights: Weights, top: Path) -> None:
    """Every backbone's file out of the archive that holds this one's; the archive goes if it was fetched here."""
    archive = top / weights.archive
    by_hand = archive.is_file()
    if not by_hand:
        part = _part(archive)
        _bring(row.name, weights, part)
        part.replace(archive)
    kin = {
        Path(other.weights.path).name: other
        for other in BACKBONES.values()
        if other.weights is not None and other.weights.archive == weights.archive
    }
    parts = {name: _part(top / other.weights.path) for name, other in kin.items() if other.weights is not None}
    for name in unpack(archive, parts):
        other = kin[name]
        assert other.weights is not None
        if not (target := top / other.weights.path).is_file():
            _accept(other, other.weights, parts[name], target)
        parts[name].unlink(missing_ok=True)
    if not (top / weights.path).is_file():
        raise BadValue(f"{row.name}: {archive} does not hold {Path(weights.path).name}; unpack it by hand")
    if not by_hand:
        archive.unlink()


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")
