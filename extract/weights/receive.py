"""Bring the weights of a backbone below the root: fetch, check what came, pin its sha256, and only then name it."""

import logging
from pathlib import Path

from extract.backbone import Backbone
from extract.backbones import BACKBONES
from extract.weights.fetch import fetch_drive, fetch_http
from extract.weights.table import LICENCES, Weights, candidates, pin_of, pinned, roots, verify_file
from extract.weights.unpack import unpack
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
        sha256 = verify_file(name, part, weights.sha256 or pinned(target))  # pinned when it was here before
    except BadValue as error:
        part.replace(_rejected(target))
        pin = f"; {pin_of(target)} holds the sha256 that came first" if pinned(target) else ""
        kept = f"{name}: what came from {weights.source} is kept as {_rejected(target)}: {error}"
        raise BadValue(kept + pin) from error
    pin_of(target).write_text(f"{sha256}  {target.name}\n")
    part.replace(target)
    log.info("%s: sha256 %s pinned in %s", name, sha256, pin_of(target))


def _from_archive(row: Backbone, weights: Weights, top: Path) -> None:
    """Every backbone's file out of the archive that holds this one's; an archive put there by hand is kept."""
    by_hand = top / weights.archive
    archive = by_hand if by_hand.is_file() else _part(by_hand)
    if archive != by_hand:
        _bring(row.name, weights, archive)
    kin = {
        Path(other.weights.path).name: (other, other.weights, top / other.weights.path)
        for other in BACKBONES.values()
        if other.weights is not None and other.weights.archive == weights.archive
    }
    try:
        found = unpack(archive, {name: _part(target) for name, (_, _, target) in kin.items()})
    except BadValue:
        if archive != by_hand:
            archive.replace(_rejected(by_hand))
        raise
    for name in found:
        other, theirs, target = kin[name]
        if target.is_file():
            _part(target).unlink()
        else:
            _accept(other, theirs, _part(target), target)
    if not (top / weights.path).is_file():
        raise BadValue(f"{row.name}: {archive} holds no {Path(weights.path).name}, only {', '.join(found)}")
    if archive != by_hand:
        archive.unlink()


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _rejected(target: Path) -> Path:
    return target.with_name(f"{target.name}.rejected")
