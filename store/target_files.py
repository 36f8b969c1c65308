"""Target columns of a list of samples on disk: written beside it, loaded and checked where they are asked for."""

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property

from store.columns import load_column, save_column
from store.errors import DamagedFeatures
from store.json_text import parse_json
from store.keys import check_name, from_folder, to_folder
from store.root import Root, repair_advice
from store.samples import Targets

log = logging.getLogger("store")


class StoredTargets(Mapping[str, Targets]):
    """The target columns below a list of `count` samples, loaded and compared with their hash when asked for.

    Raises `DamagedFeatures`, also where a column that was written is no longer there.
    """

    def __init__(self, root: Root, folder: str, count: int) -> None:
        self._root, self._folder, self._below, self._count = root, folder, f"{folder}/targets", count
        self._loaded: dict[str, Targets] = {}

    @cached_property
    def _names(self) -> list[str]:
        found = sorted(from_folder(name) for name, size in self._root.list(self._below).items() if size is None)
        try:
            gone = sorted(set(_noted(self._root, self._folder)) - set(found))
            why = f"targets/{gone[0]} is gone" if gone else ""
        except ValueError as error:
            why = f"columns.json cannot be read: {error}"
        if why:
            raise DamagedFeatures(
                f"{self._root.url}/{self._folder} is damaged ({why}): run {repair_advice(self._root)}"
            )
        return found

    def __getitem__(self, column: str) -> Targets:
        if column not in self._names:
            raise KeyError(column)
        if column not in self._loaded:
            self._loaded[column] = self._load(column)
        return self._loaded[column]

    def _load(self, column: str) -> Targets:
        below = f"{self._below}/{to_folder(column)}"
        try:
            current = check_name("targets", self._root.get(f"{below}/current").decode())
            if (written_for := _place_of(self._root, f"{below}/{current}")) not in ("", _place(below)):
                raise ValueError(f"it is that of {written_for}")  # noqa: TRY301
            classes = parse_json(self._root.get(f"{below}/{current}/classes.json"))
            index = load_column(self._root, f"{below}/{current}/index")
            targets = Targets(column, tuple(classes), index)
            if targets.hash != current or len(index) != self._count:
                raise ValueError("it is not what its hash says")  # noqa: TRY301
        except (FileNotFoundError, ValueError, TypeError, DamagedFeatures) as error:
            why = error.what if isinstance(error, DamagedFeatures) else error
            raise DamagedFeatures(
                f"{self._root.url}/{below} is damaged ({why}): run {repair_advice(self._root)}"
            ) from error
        return targets

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def save_targets(root: Root, below: str, column: Targets, *, relabel: bool) -> bool:
    """Whether these targets are the current ones now."""
    if root.size(f"{below}/{column.hash}/classes.json") is None:
        root.put(f"{below}/{column.hash}/place", _place(below).encode())
        save_column(root, f"{below}/{column.hash}/index", column.index, "sample")
        root.put(f"{below}/{column.hash}/classes.json", json.dumps(list(column.classes)).encode())
    data = column.hash.encode()
    if root.put_new(f"{below}/current", data) or root.get(f"{below}/current") == data:
        return True
    if relabel:
        root.put(f"{below}/current", data)
        log.warning("%s: the targets are others than before, these are used from now on", from_folder(below))
    return relabel


def note_columns(root: Root, folder: str, names: Iterable[str]) -> None:
    """Remember that these columns were written, so that one that goes missing is missed."""
    try:
        known = _noted(root, folder)
    except ValueError:
        known = []
    if not set(names) <= set(known):
        root.put(f"{folder}/columns.json", json.dumps(sorted({*known, *names})).encode())


def forget_columns(root: Root, folder: str, names: Collection[str]) -> None:
    """Remove target columns that their source has no more."""
    known = _noted(root, folder)
    gone = [name for name in names if root.list(f"{folder}/targets/{to_folder(name)}")]
    if gone:
        root.put(f"{folder}/columns.json", json.dumps(sorted({*known} - {*gone})).encode())
    for name in gone:
        root.remove(f"{folder}/targets/{to_folder(name)}/current")
        root.remove(f"{folder}/targets/{to_folder(name)}")
        log.warning("%s: column %s is no longer in the list, and is taken out", from_folder(folder), name)


def _noted(root: Root, folder: str) -> list[str]:
    """The columns that were written; none where an earlier version did not note them. Raises `ValueError`: damaged."""
    try:
        names = parse_json(root.get(f"{folder}/columns.json"))
    except FileNotFoundError:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("no list of names")
    return names


def _place(below: str) -> str:
    """`dataset/split/column` of the folder of a target column."""
    _, dataset, split, _, _, column = map(from_folder, below.split("/"))
    return f"{dataset}/{split}/{column}"


def _place_of(root: Root, folder: str) -> str:
    """What a folder of targets was written for; empty where an earlier version did not say."""
    try:
        return root.get(f"{folder}/place").decode()
    except FileNotFoundError:
        return ""
