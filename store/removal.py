"""What may be removed from a store, and how: nothing behind a link, nothing foreign, nothing of unknown age."""

import time
from dataclasses import dataclass, field

from store.errors import UserError
from store.inventory import UNFINISHED, being_written, find_sets, folders
from store.keys import is_hash
from store.manifest import read_manifest
from store.root import Root
from store.started import read_started


def remove_set(root: Root, folder: str) -> None:
    """Remove a feature set; the manifest first, so that a set half removed is never read."""
    root.remove(f"{folder}/manifest.json")
    root.remove(folder)


def remove_samples(root: Root, folder: str) -> None:
    """Remove a list of samples; what says that it is whole first, so that a list half removed is written again."""
    root.remove(f"{folder}/samples.json")
    for column in folders(root, f"{folder}/targets"):
        root.remove(f"{folder}/targets/{column}/current")
        for targets in folders(root, f"{folder}/targets/{column}"):
            root.remove(f"{folder}/targets/{column}/{targets}/classes.json")
    root.remove(folder)


@dataclass
class Garbage:
    """What `store gc` found, as keys of the store."""

    sets: list[str] = field(default_factory=list)
    """Feature sets that nobody finished."""
    samples: list[str] = field(default_factory=list)
    """Lists of samples that no feature set, finished or not, was made from."""
    partials: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    """What lies where a set or a list should, but is not removed -> why."""

    @property
    def keys(self) -> list[str]:
        return [*self.sets, *self.samples, *self.partials]


FOLDERS = ("datasets", "features", "grams", "heads", "predictions", "records", "samples")
"""What a store is made of; what lies beside these may be another's, however it is named."""


def find_garbage(root: Root, seconds: float) -> Garbage:
    """What killed runs left and nothing refers to, older than so many seconds. Removes nothing."""
    found, limit = Garbage(), time.time() - seconds

    def old(folder: str) -> bool:
        newest = root.newest(folder)
        return newest is not None and newest < limit

    def ours(folder: str) -> bool:
        if link := root.link(folder):
            found.left[link] = "a link, which is never followed"
        elif not is_hash(folder.rpartition("/")[2]):
            found.left[folder] = "not of this store: its name is not 64 hex digits"
        else:
            return True
        return False

    for folder in _at_depth(root, "features", 4):
        ours(folder)
    found.sets = [
        stored.folder
        for stored in find_sets(root)
        if stored.state == UNFINISHED and ours(stored.folder) and old(stored.folder)
    ]
    needed, unsure = _needed_samples(root)
    for folder in _at_depth(root, "samples", 3):
        split = folder.rpartition("/")[0].removeprefix("samples/")
        if ours(folder) and folder not in needed and old(folder):
            if split in unsure:
                found.left[folder] = f"perhaps needed: {unsure[split]} cannot be read"
            else:
                found.samples.append(folder)
    found.partials = [key for key in root.partials(seconds) if key.partition("/")[0] in FOLDERS]
    return found


def collect(root: Root, garbage: Garbage, seconds: float) -> list[str]:
    """Remove what was found and still is garbage; returns the keys that were removed."""
    now = find_garbage(root, seconds)  # a run may have gone on while somebody was asked
    sets, samples, partials = (
        [key for key in before if key in after]
        for before, after in zip(
            (garbage.sets, garbage.samples, garbage.partials), (now.sets, now.samples, now.partials), strict=True
        )
    )
    removed = []
    for folder in sets:
        if root.size(f"{folder}/manifest.json") is None and not being_written(root, folder):
            remove_set(root, folder)
            removed.append(folder)
    for folder in samples:
        remove_samples(root, folder)
        removed.append(folder)
    for key in partials:
        root.remove(key)
        removed.append(key)
    return removed


def _needed_samples(root: Root) -> tuple[set[str], dict[str, str]]:
    """The lists that feature sets were made from, and splits of which that is not known -> the file that hides it."""
    needed, unsure = set[str](), dict[str, str]()
    for folder in _at_depth(root, "features", 4):
        split = "/".join(folder.split("/")[1:3])
        told = 0
        for name, read in (("manifest.json", _of_manifest), ("started.json", _of_started)):
            try:
                samples = read(root, folder)
            except FileNotFoundError:
                continue
            except (UserError, KeyError):
                unsure[split] = f"{folder}/{name}"
                continue
            needed.add(f"samples/{split}/{samples}")
            told += 1
        if not told and is_hash(folder.rpartition("/")[2]) and root.list(folder):
            unsure.setdefault(split, f"{folder}/started.json")
    return needed, unsure


def _of_manifest(root: Root, folder: str) -> str:
    return read_manifest(root, folder).samples


def _of_started(root: Root, folder: str) -> str:
    return str(read_started(root, folder)["parts"]["samples"])


def _at_depth(root: Root, top: str, depth: int) -> list[str]:
    """Folders so many levels below `top`, those behind links too."""
    found = [top]
    for _ in range(depth):
        found = [f"{folder}/{name}" for folder in found for name in folders(root, folder)]
    return found
