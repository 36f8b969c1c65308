"""Which feature set a name means: the one of the dataset's present samples."""

import difflib
import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from store.errors import AmbiguousFeatures, MissingFeatures, UserError
from store.features import FeatureSet, backbones, candidates, subfolders
from store.fingerprint import IMPORTED
from store.keys import FeatureKey, dataset_name, to_folder
from store.listing import Listing, is_retired, read_listing
from store.manifest import Manifest
from store.root import Root, store_flag

log = logging.getLogger("store")

PLACES = ("data_root", "weights", "weights_root", "backbones")
"""Flags of `extract` that a manifest's provenance may tell."""


def open_set(root: Root, dataset: str, split: str, name: str, *, view: int = 0) -> FeatureSet:
    """Open `backbone`, or `backbone@3f9c` by the first digits (four or more) of its fingerprint in any split.

    `dataset` is a name, `folder:PATH` or `csv:FILE`. Of several sets the one of the dataset's present samples is
    opened; earlier samples, and splits that the dataset no longer has, only by their fingerprint.

    Raises `MissingFeatures` with the command that makes the set; `AmbiguousFeatures` where several sets carry the
    name, with what tells them apart.
    """
    return find_set(root, read_listing(root, dataset_name(dataset)), dataset, split, name, view)


def find_set(root: Root, listing: Listing | None, dataset: str, split: str, name: str, view: int) -> FeatureSet:
    """`open_set`, of a dataset whose listing has been read."""
    key = FeatureKey(dataset_name(dataset), split, name)
    found = {fp: m for fp, m in candidates(root, key).items() if m.parts["recipe"].get("view", 0) == view}
    base, at, prefix = name.rpartition("@")
    picked = not found and at and len(prefix) >= 4 and set(prefix) <= set("0123456789abcdef")
    if picked:
        key = FeatureKey(key.dataset, split, base)
        every = {fp: m for fp, m in candidates(root, key).items() if m.parts["recipe"].get("view", 0) == view}
        found = {fp: m for fp, m in every.items() if fp.startswith(prefix)}
        found = found or _of_its_time(_like(root, key, prefix, every), _named(root, key, prefix), listing)
        if every and not found:
            have = ", ".join(f"{base}@{fp[:8]}" for fp in every)
            raise MissingFeatures(f"no fingerprint of {key} in {root.url} begins with {prefix!r}; there is: {have}")
    elif found and is_retired(listing, split):
        raise MissingFeatures(_retired(root, key, found, listing))
    present = listing.splits.get(split) if listing else None
    newest = {fp: m for fp, m in found.items() if m.samples == present}
    if found and present and not newest and not picked:
        raise MissingFeatures(_earlier(root, key, found, view, dataset))
    found = newest or found
    if not found:
        raise MissingFeatures(_how_to_make(root, key, view, dataset, listing))
    if len(found) > 1:
        raise AmbiguousFeatures(_what_differs(root, key, found))
    ((fingerprint, manifest),) = found.items()
    if picked and present and manifest.samples != present:
        log.warning(
            "%s of %s/%s: its samples are earlier ones, of %s",
            name,
            key.dataset,
            split,
            manifest.provenance.get("created"),
        )
    return FeatureSet(root, f"{key.folder}/{fingerprint}", manifest)


def _named(root: Root, key: FeatureKey, prefix: str) -> list[Manifest]:
    """The sets of any split whose fingerprint begins so."""
    found: list[Manifest] = []
    for split in subfolders(root, f"features/{to_folder(key.dataset)}"):
        there = candidates(root, FeatureKey(key.dataset, split, key.backbone))
        found += [m for fp, m in there.items() if fp.startswith(prefix)]
    return found


def _of_its_time(found: dict[str, Manifest], named: Sequence[Manifest], listing: Listing | None) -> dict[str, Manifest]:
    """Those made nearest to a set of earlier samples: never what was in one split then with what is in another now."""
    earlier = [m for m in named if listing and listing.splits.get(m.split) != m.samples]
    if len(found) < 2 or not earlier:
        return found
    far = {fp: min(abs(m.made_at - one.made_at) for one in earlier) for fp, m in found.items()}
    near = {fp: m for fp, m in found.items() if far[fp] == min(far.values())}
    then = {fp: m for fp, m in near.items() if listing and listing.splits.get(m.split) != m.samples}
    return then or near  # times are in whole seconds: of equal ones, what is not of today


def _like(root: Root, key: FeatureKey, prefix: str, every: dict[str, Manifest]) -> dict[str, Manifest]:
    """Sets of this split that the network of the fingerprint made: it names one set, of one split, but means them all.

    Those of a precision class of their own only where there is no other.
    """
    parts = [manifest.parts for manifest in _named(root, key, prefix)]
    imported = all(one["architecture"] == IMPORTED for one in parts)  # each split comes from a file of its own
    for apart in (("samples",), ("samples", "precision"), *([("samples", "weights")] if imported else [])):
        wanted = [_without(one, apart) for one in parts]
        found = {fp: m for fp, m in every.items() if _without(m.parts, apart) in wanted}
        if found:
            return found
    return {}


def _without(parts: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if name not in names}


def _retired(root: Root, key: FeatureKey, found: Mapping[str, Manifest], listing: Listing | None) -> str:
    assert listing is not None
    named = ", ".join(f"{key.backbone}@{fp[:8]}" for fp in found)
    return (
        f"{key.dataset} has no split {key.split!r} any more ({listing.created}: {', '.join(listing.splits)}); features "
        f"of what it was are still in {root.url}. Use them all the same by their fingerprint ({named}), or remove "
        f"them: {remove_command(root, f'{key.dataset}/{key.split}/*')}"
    )


def _earlier(root: Root, key: FeatureKey, found: Mapping[str, Manifest], view: int, dataset: str) -> str:
    named = ", ".join(f"{key.backbone}@{fp[:8]} ({m.num_samples} images)" for fp, m in found.items())
    if all(m.parts["architecture"] == IMPORTED for m in found.values()):
        return (
            f"{key.dataset}/{key.split} lists other samples now than when {key} was imported. Import a file that has "
            f"them all: {import_command(root, key, dataset)}; or name the earlier samples: {named}"
        )
    return (
        f"{key.dataset}/{key.split} lists other samples now than when {key} was extracted. Extract them, only new "
        f"images go through the network: {_extract_command(root, key, view, dataset, every=True)}; or name the earlier "
        f"samples: {named}"
    )


def _is_imported(root: Root, key: FeatureKey) -> bool:
    """Whether what other splits have of this backbone came from files."""
    found: list[Manifest] = []
    for split in subfolders(root, f"features/{to_folder(key.dataset)}"):
        with suppress(UserError):
            found += candidates(root, FeatureKey(key.dataset, split, key.backbone)).values()
    return bool(found) and all(manifest.parts["architecture"] == IMPORTED for manifest in found)


def import_command(root: Root, key: FeatureKey, dataset: str) -> str:
    """The command that imports a set again, but for the file's name."""
    return (
        f"python -m store import FILE --backbone {key.backbone} --dataset {shlex.quote(dataset)} "
        f"--split {key.split}{store_flag(root)}"
    )


def remove_command(root: Root, pattern: str) -> str:
    """The command that removes the sets of a pattern, in full."""
    return f"python -m store rm {shlex.quote(pattern)} --yes{store_flag(root)}"


def _extract_command(root: Root, key: FeatureKey, view: int, dataset: str, *, every: bool = False) -> str:
    """The command that makes a set, or with `every` those of all splits."""
    views = f" --views {view + 1}" if view else ""
    places = "".join(f" --{name.replace('_', '-')} {shlex.quote(where)}" for name, where in _places(root, key).items())
    what = f"--backbone {key.backbone} --dataset {shlex.quote(dataset)}{'' if every else f' --split {key.split}'}"
    return f"python -m extract {what}{views}{places}{store_flag(root)}"


def _places(root: Root, key: FeatureKey) -> dict[str, str]:
    """Where images and weights lay when other features of this backbone were extracted, as flags of `extract`."""
    for split in subfolders(root, f"features/{to_folder(key.dataset)}"):
        for manifest in candidates(root, FeatureKey(key.dataset, split, key.backbone)).values():
            if isinstance(told := manifest.provenance.get("flags"), dict):
                return {name: str(told[name]) for name in PLACES if name in told}
    return {}


def _how_to_make(root: Root, key: FeatureKey, view: int, dataset: str, listing: Listing | None) -> str:
    imported = _is_imported(root, key)
    command = import_command(root, key, dataset) if imported else _extract_command(root, key, view, dataset)
    stored = backbones(root, key.dataset, key.split)
    if key.backbone in stored:
        return f"{key} {f'has no view {view}' if view else 'is not finished'} in {root.url}; run: {command}"
    return f"{key} has no features in {root.url}; {_perhaps(root, key, stored, listing)}run: {command}"


def _perhaps(root: Root, key: FeatureKey, stored: Sequence[str], listing: Listing | None) -> str:
    """What may have been meant instead, and under which condition a command would help."""
    near = [name for name in difflib.get_close_matches(key.backbone, stored) if name != key.backbone]
    if near:
        return f"nearest: {', '.join(near)}; if {key.backbone} is a backbone too, "
    if listing and key.split not in listing.splits:
        known = ", ".join(listing.splits)
        return f"when {key.dataset} was last extracted it had no such split, but {known}; if it has one now, "
    if stored:
        return ""
    if splits := subfolders(root, f"features/{to_folder(key.dataset)}"):
        return f"{key.dataset} has the splits {', '.join(splits)} there; "
    datasets = subfolders(root, "features")
    names = {name.rpartition("-")[0] or name: name for name in datasets}  # photos-1a2b3c: what a folder is called
    close = difflib.get_close_matches(key.dataset, [*datasets, *names])
    told = ", ".join(dict.fromkeys(names.get(name, name) for name in close))
    return f"nearest datasets: {told}; if {key.dataset} is one too, " if told else ""


def _what_differs(root: Root, key: FeatureKey, found: dict[str, Manifest]) -> str:
    texts = {fp: {name: json.dumps(part) for name, part in m.parts.items()} for fp, m in found.items()}
    names = sorted({name for parts in texts.values() for name in parts})
    differing = [name for name in names if len({parts.get(name) for parts in texts.values()}) > 1]
    lines = [f"{len(found)} feature sets are named {key} in {root.url}; they differ in {', '.join(differing)}:"]
    for fingerprint, manifest in found.items():
        what = ", ".join(f"{name} {str(manifest.parts[name])[:60]}" for name in differing)
        lines.append(f"  {key.backbone}@{fingerprint[:8]}  {manifest.provenance.get('created', '')}  {what}")
    return "\n".join([*lines, "name one as above, or `python -m store rm` what you do not need"])
