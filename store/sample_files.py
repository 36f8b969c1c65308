"""Lists of samples in the store: written once, read in columns where they are asked for."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from typing import overload

import numpy as np

from store import zarr_blocks
from store.blocks import Blocks
from store.columns import load_column, make_column, save_column
from store.errors import BadValue, DamagedFeatures, FormatError, MissingFeatures
from store.json_text import parse_json
from store.keys import to_folder
from store.root import Root, repair_advice
from store.samples import CHUNK, Samples, Targets
from store.target_files import StoredTargets, note_columns, save_targets

log = logging.getLogger("store")
FEW, SIDE_BY_SIDE = 8, 32
"""So many target columns are written one after the other; of more, so many at a time."""


class Ids(Sequence[str]):
    """Sample ids on disk as one UTF-8 text and its offsets: read where they are asked for."""

    def __init__(self, text: Blocks, offsets: Blocks, check: Callable[["Ids"], None] | None = None) -> None:
        self._text, self._offsets, self._check = text, offsets, check

    def __len__(self) -> int:
        return self._offsets.shape[0] - 1

    @property
    def whole(self) -> bool:
        """Whether the offsets end where the text does."""
        end = int(self._offsets.read(slice(len(self), len(self) + 1))[0])
        return self._text.shape[0] == max(1, end)

    def check(self, *, whole: bool = False) -> None:
        """Compare the list with what it is named by, once; a very long one only if it is read `whole` anyway.

        Raises `DamagedFeatures`.
        """
        if self._check is not None and (whole or len(self) <= CHUNK):
            self._check(Ids(self._text, self._offsets))
            self._check = None

    def _range(self, start: int, stop: int) -> list[str]:
        if stop <= start:
            return []
        self.check()
        edges = self._offsets.read(slice(start, stop + 1))
        if edges[0] < 0 or edges[-1] > self._text.shape[0] or (edges[1:] < edges[:-1]).any():
            raise _damaged(self._offsets, "it does not ascend within the text of the ids")
        text = self._text.read(slice(int(edges[0]), int(edges[-1]))).tobytes()
        base = int(edges[0])
        try:
            return [text[low - base : high - base].decode() for low, high in pairwise(edges)]
        except UnicodeDecodeError as error:
            raise _damaged(self._text, str(error)) from error

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self._range(start, stop)[::step] if step > 0 else [self[i] for i in range(start, stop, step)]
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index %= len(self)
        return self._range(index, index + 1)[0]

    def __iter__(self) -> Iterator[str]:
        self.check(whole=True)
        for start in range(0, len(self), CHUNK):
            yield from self._range(start, min(start + CHUNK, len(self)))


class StoredSamples(Samples):
    """`Samples` whose columns stay on disk until they are asked for."""

    ids: Ids

    def __init__(self, root: Root, dataset: str, split: str, samples_id: str, count: int, replaced: str = "") -> None:
        below = samples_folder(dataset, split, samples_id)
        text, offsets = (zarr_blocks.open_blocks(root, f"{below}/{name}") for name in ("ids", "offsets"))
        if offsets.shape != (count + 1,):
            raise _damaged(offsets, f"it is for {offsets.shape[0] - 1} samples, samples.json says {count}")
        targets = StoredTargets(root, below, count)
        self.__dict__.update(dataset=dataset, split=split, ids=Ids(text, offsets, self._check), targets=targets)
        self.__dict__.update(id=samples_id, replaced=replaced)  # the folder's name
        self.__dict__.update(_root=root, _below=below)

    @cached_property
    def sizes(self) -> np.ndarray:
        self.ids.check()
        return self._sizes

    @cached_property
    def _sizes(self) -> np.ndarray:
        return load_column(self.__dict__["_root"], f"{self.__dict__['_below']}/sizes")

    def _check(self, ids: Ids) -> None:
        """Hash the ids and sizes again: their hash is the list's name."""
        try:
            again = Samples(self.dataset, self.split, ids, self._sizes, replaced=self.replaced)
            same = ids.whole and again.id == self.id
        except BadValue:
            same = False
        if not same:
            root = self.__dict__["_root"]
            where = f"{root.url}/{self.__dict__['_below']}"
            raise DamagedFeatures(f"{where} lists other samples than its name says: run {repair_advice(root)}")


def samples_folder(dataset: str, split: str, samples_id: str) -> str:
    return f"samples/{to_folder(dataset)}/{to_folder(split)}/{samples_id}"


def save_samples(root: Root, samples: Samples, *, relabel: bool = True) -> str:
    """Write ids and sizes once, and make these targets the current ones; returns the folder.

    Raises `BadValue`: no samples, or an id that occurs twice; not `relabel`, and a column has other targets already,
    those of a process that writes at the same time too.
    """
    if not len(samples):
        raise BadValue(f"{samples.dataset}/{samples.split} has no samples")
    below = samples_folder(samples.dataset, samples.split, samples.id)
    if root.size(f"{below}/samples.json") is None:
        _check_distinct(samples)
        lengths = np.fromiter((len(sample.encode()) for sample in samples.ids), np.int64, len(samples))
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        _save_text(root, f"{below}/ids", samples.ids, offsets)
        save_column(root, f"{below}/offsets", offsets, "edge")
        save_column(root, f"{below}/sizes", samples.sizes, "sample")
        header = {"format": 1, "id": samples.id, "num_samples": len(samples)}
        if samples.replaced:
            header["replaced"] = samples.replaced
        root.put(f"{below}/samples.json", json.dumps(header).encode())
    if isinstance(samples, StoredSamples):
        return below
    for name, saved in _each_saved(root, below, samples.targets, relabel=relabel):
        if not saved:
            raise BadValue(
                f"{samples.dataset}/{samples.split} has these samples with another {name!r}: --relabel replaces the "
                "stored targets"
            )
    note_columns(root, below, samples.targets)
    return below


def _each_saved(root: Root, below: str, targets: Mapping[str, Targets], *, relabel: bool) -> Iterator[tuple[str, bool]]:
    """`save_targets` of every column; many of them side by side, since a disk takes long to say that it has one."""

    def save(name: str) -> tuple[str, bool]:
        return name, save_targets(root, f"{below}/targets/{to_folder(name)}", targets[name], relabel=relabel)

    if len(targets) <= FEW:
        yield from map(save, targets)
        return
    with ThreadPoolExecutor(SIDE_BY_SIDE, "targets") as pool:
        yield from pool.map(save, targets)


def _check_distinct(samples: Samples) -> None:
    hashes = np.fromiter(map(hash, samples.ids), np.int64, len(samples))  # 8 bytes a sample, not a set of texts
    values, counts = np.unique(hashes, return_counts=True)
    suspects, seen = set(values[counts > 1].tolist()), set[str]()
    for sample in samples.ids if suspects else ():
        if hash(sample) in suspects:
            if sample in seen:
                raise BadValue(f"{samples.dataset}/{samples.split}: sample id {sample!r} occurs twice")
            seen.add(sample)


def _save_text(root: Root, prefix: str, ids: Sequence[str], offsets: np.ndarray) -> None:
    """The ids, joined, in UTF-8; id i is bytes offsets[i] to offsets[i + 1]."""
    column = make_column(root, prefix, max(1, int(offsets[-1])), "uint8", "byte")
    for block in range(column.num_blocks):
        span = column.rows(block)
        first = int(np.searchsorted(offsets, span.start, side="right")) - 1
        last = int(np.searchsorted(offsets, span.stop, side="left"))
        text = "".join(ids[first:last]).encode() or b"\0"
        cut = span.start - int(offsets[first])
        column.write_block(block, np.frombuffer(text[cut : cut + len(span)], np.uint8))


def load_samples(root: Root, dataset: str, split: str, samples_id: str) -> StoredSamples:
    """Open a stored list of samples; ids, sizes and targets are read when asked for.

    Raises `MissingFeatures`, `DamagedFeatures`, `FormatError`.
    """
    below = samples_folder(dataset, split, samples_id)
    try:
        header = parse_json(root.get(f"{below}/samples.json"))
    except FileNotFoundError:
        raise MissingFeatures(
            f"{root.url}/{below} is missing: run the command that made it again, extract or store import"
        ) from None
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != 1:
        raise FormatError(f"{root.url}/{below}/samples.json is not of format 1, which is what this version reads")
    count = header.get("num_samples")
    if header.get("id") != samples_id or not isinstance(count, int):
        raise DamagedFeatures(f"{root.url}/{below}/samples.json is that of another list: run {repair_advice(root)}")
    return StoredSamples(root, dataset, split, samples_id, count, str(header.get("replaced", "")))


def _damaged(column: Blocks, why: str) -> DamagedFeatures:
    where = f"{column.root.url}/{column.prefix}"
    return DamagedFeatures(f"{where} is damaged ({why}): run {repair_advice(column.root)}")
