"""The names that people give the same images: with the folder of their split or without, whole paths, backslashes."""

import logging
from collections.abc import Iterable, Mapping, Sequence

from store.samples import Samples

log = logging.getLogger("store")

_PROBES = 100
"""So many ids of a file are looked at for a folder that all of them begin with."""


def matching_forms(
    ids: Sequence[str], stored: Mapping[str, Samples], folders: Mapping[str, str]
) -> tuple[Sequence[str], dict[str, list[str]]]:
    """The ids of a file, and those of each stored split, in the forms in which most are the same.

    Args:
        folders: split -> the folder of its ids; of these `train/ant/1.png` and `ant/1.png` are both names.
    """
    whole = {split: _below(folders.get(split, ""), samples.ids) for split, samples in stored.items()}
    forms = (
        [whole, {split: list(samples.ids) for split, samples in stored.items()}] if any(folders.values()) else [whole]
    )
    best, most = (ids, forms[-1]), 0
    for names in forms:
        known = {name for of_split in names.values() for name in of_split}
        taken = _known(ids, known)
        count = sum(name in known for name in taken)
        if count > most:
            best, most = (taken, names), count
    if best[0] is not ids:
        log.info("ids are taken as %r, not as %r", best[0][0], ids[0])
    return best


def _below(folder: str, ids: Iterable[str]) -> list[str]:
    return [f"{folder}/{name}" if folder else name for name in ids]


def _known(ids: Sequence[str], known: set[str]) -> Sequence[str]:
    """Where no id is known as it stands: without blanks around it, / for backslashes, less a folder that all are in."""
    if not known.isdisjoint(ids):
        return ids
    plain = [name.strip().replace("\\", "/").removeprefix("./") for name in ids]
    for probe in plain[:_PROBES]:
        parts = probe.split("/")
        for cut in range(len(parts)):
            above = "".join(f"{part}/" for part in parts[:cut])
            if probe[len(above) :] in known and all(name.startswith(above) for name in plain):
                return [name[len(above) :] for name in plain]
    return ids
