"""Which images, in which order: sample ids and file sizes, and beside them named target columns.

The samples id hashes ids and sizes, never targets: relabelling needs no extraction.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, overload

import numpy as np

from store import zarr_blocks
from store.errors import BadValue, FormatError, MissingFeatures, UnknownName
from store.fingerprint import sha256_json
from store.keys import check_name, to_folder
from store.root import Root
from store.zarr_blocks import ZarrBlocks

COLUMN_ROWS = 1 << 20
"""Rows in a block of a column: a table of 10^9 samples is some thousand objects."""


@dataclass(frozen=True)
class Targets:
    """One target column: what a head may be trained for, or what a group is."""

    column: str
    classes: tuple[str, ...]
    index: np.ndarray
    """(N,) int32 into `classes`; -1 where a sample has no target."""

    def __post_init__(self) -> None:
        check_name("target column", self.column)
        object.__setattr__(self, "index", np.ascontiguousarray(self.index, "<i4"))
        if self.index.size and not (self.index.min() >= -1 and self.index.max() < len(self.classes)):
            bad = int(np.flatnonzero((self.index < -1) | (self.index >= len(self.classes)))[0])
            raise BadValue(
                f"target column {self.column!r}: sample {bad} has class {int(self.index[bad])}, "
                f"but there are {len(self.classes)} classes (0 to {len(self.classes) - 1}, or -1 for none)"
            )

    @cached_property
    def hash(self) -> str:
        """64 hex digits over classes and index; a record says with it which targets it used."""
        return sha256_json([list(self.classes), hashlib.sha256(self.index.tobytes()).hexdigest()])

    def take(self, rows: np.ndarray) -> "Targets":
        return Targets(self.column, self.classes, self.index[rows])

    @staticmethod
    def from_names(column: str, names: Iterable[str], classes: Sequence[str] | None = None) -> "Targets":
        """Build a column from one class name per sample; `classes` defaults to the sorted distinct names."""
        names = list(names)
        table = {name: i for i, name in enumerate(classes if classes is not None else sorted(set(names)))}
        unknown = next((name for name in names if name not in table), None)
        if unknown is not None:
            raise UnknownName(f"class of target column {column!r}", unknown, table)
        return Targets(column, tuple(table), np.array([table[name] for name in names], np.int32))


class Ids(Sequence[str]):
    """Sample ids on disk as one UTF-8 text and its offsets: read where they are asked for."""

    def __init__(self, text: ZarrBlocks, offsets: ZarrBlocks) -> None:
        self._text, self._offsets = text, offsets

    def __len__(self) -> int:
        return self._offsets.shape[0] - 1

    def _range(self, start: int, stop: int) -> list[str]:
        if stop <= start:
            return []
        edges = self._offsets.read(slice(start, stop + 1))
        text = self._text.read(slice(int(edges[0]), int(edges[-1]))).tobytes()
        base = int(edges[0])
        return [text[low - base : high - base].decode() for low, high in pairwise(edges)]

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
        for start in range(0, len(self), COLUMN_ROWS):
            yield from self._range(start, min(start + COLUMN_ROWS, len(self)))


class _LazyTargets(Mapping[str, Targets]):
    """Target columns on disk, loaded when asked for."""

    def __init__(self, root: Root, folder: str) -> None:
        self._root, self._folder = root, folder
        self._names = sorted(name for name, size in root.list(f"{folder}/targets").items() if size is None)
        self._loaded: dict[str, Targets] = {}

    def __getitem__(self, column: str) -> Targets:
        if column not in self._names:
            raise KeyError(column)
        if column not in self._loaded:
            below = f"{self._folder}/targets/{column}"
            current = f"{below}/{self._root.get(f'{below}/current').decode().strip()}"
            classes = json.loads(self._root.get(f"{current}/classes.json"))
            index = ZarrBlocks(self._root, f"{current}/index")
            self._loaded[column] = Targets(column, tuple(classes), index.read(slice(None)))
        return self._loaded[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of one split, in order; row i of every feature set of this split is sample i."""

    dataset: str
    split: str
    ids: Sequence[str]
    """Relative paths, or any other names; distinct."""
    sizes: np.ndarray
    """(N,) int64: bytes of each image file."""
    targets: Mapping[str, Targets] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("dataset", self.dataset)
        check_name("split", self.split)
        object.__setattr__(self, "sizes", np.asarray(self.sizes, "<i8"))
        if len(self.ids) != len(self.sizes):
            raise BadValue(f"{self.dataset}/{self.split}: {len(self.ids)} sample ids, but {len(self.sizes)} sizes")
        if isinstance(self.targets, dict):  # loaded ones were checked when they were written
            for name, column in self.targets.items():
                if len(column.index) != len(self.ids):
                    raise BadValue(
                        f"{self.dataset}/{self.split}: {len(self.ids)} samples, "
                        f"but target column {name!r} has {len(column.index)} rows"
                    )

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def id(self) -> str:
        """Samples id: 64 hex digits over every sample id and size, in order."""
        digest = hashlib.sha256(b"motherlode samples 1\n")
        for start in range(0, len(self), COLUMN_ROWS):
            chunk = slice(start, start + COLUMN_ROWS)
            pairs = zip(self.ids[chunk], self.sizes[chunk].tolist(), strict=True)
            digest.update("".join(f"{sample}\0{size}\n" for sample, size in pairs).encode())
        return digest.hexdigest()

    def target(self, column: str = "label") -> Targets:
        """A target column by name; an unknown name raises `UnknownName` with the nearest."""
        try:
            return self.targets[column]
        except KeyError:
            have = ", ".join(self.targets) or "none"
            raise UnknownName(
                f"target column of {self.dataset}/{self.split}", column, self.targets, f"there are: {have}"
            ) from None

    @property
    def label(self) -> np.ndarray:
        """(N,) int32, the column `label`."""
        return self.target("label").index

    def take(self, rows: np.ndarray) -> "Samples":
        """The samples at `rows`, in that order, with their targets."""
        targets = {name: column.take(rows) for name, column in self.targets.items()}
        ids = list(self.ids) if len(rows) * 10 > len(self) else self.ids
        return Samples(self.dataset, self.split, [ids[int(i)] for i in rows], self.sizes[rows], targets)

    def first_difference(self, other: "Samples") -> str:
        """Where two lists of samples part, for an error text."""
        pairs = zip(self.ids, self.sizes, other.ids, other.sizes, strict=False)
        for row, (a, size_a, b, size_b) in enumerate(pairs):
            if a != b:
                return f"first at row {row}: {a!r} against {b!r}"
            if size_a != size_b:
                return f"first at row {row}: {a!r} has {size_a} bytes against {size_b}"
        return f"one has {len(self)} samples, the other {len(other)}"


def folder(dataset: str, split: str, samples_id: str) -> str:
    return f"samples/{to_folder(dataset)}/{to_folder(split)}/{samples_id}"


def save_samples(root: Root, samples: Samples) -> str:
    """Write ids and sizes once, and make these targets the current ones; returns the folder.

    Raises `BadValue`: no samples, or an id that occurs twice.
    """
    if not len(samples):
        raise BadValue(f"{samples.dataset}/{samples.split} has no samples")
    below = folder(samples.dataset, samples.split, samples.id)
    if root.size(f"{below}/samples.json") is None:
        seen: set[str] = set()
        for sample in samples.ids:
            if sample in seen:
                raise BadValue(f"{samples.dataset}/{samples.split}: sample id {sample!r} occurs twice")
            seen.add(sample)
        encoded = [sample.encode() for sample in samples.ids]
        offsets = np.zeros(len(samples) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=offsets[1:])
        _save_column(root, f"{below}/ids", np.frombuffer(b"".join(encoded) or b"\0", np.uint8), "byte")
        _save_column(root, f"{below}/offsets", offsets, "edge")
        _save_column(root, f"{below}/sizes", samples.sizes, "sample")
        header = {"format": 1, "id": samples.id, "num_samples": len(samples)}
        root.put(f"{below}/samples.json", json.dumps(header).encode())
    for name, column in samples.targets.items():
        _save_targets(root, f"{below}/targets/{name}", column)
    return below


def _save_targets(root: Root, below: str, column: Targets) -> None:
    if root.size(f"{below}/{column.hash}/classes.json") is None:
        _save_column(root, f"{below}/{column.hash}/index", column.index, "sample")
        root.put(f"{below}/{column.hash}/classes.json", json.dumps(list(column.classes)).encode())
    try:
        current = root.get(f"{below}/current").decode()
    except FileNotFoundError:
        current = ""
    if current != column.hash:
        root.put(f"{below}/current", column.hash.encode())


def _save_column(root: Root, prefix: str, values: np.ndarray, name: str) -> None:
    rows = min(COLUMN_ROWS, len(values))
    zarr_blocks.create(root, prefix, values.shape, values.dtype.name, rows, (name,))
    blocks = ZarrBlocks(root, prefix)
    for block in range(blocks.num_blocks):
        span = blocks.rows(block)
        blocks.write_block(block, values[span.start : span.stop])


def load_samples(root: Root, dataset: str, split: str, samples_id: str) -> Samples:
    """Open a stored list of samples; ids and targets are read when asked for."""
    below = folder(dataset, split, samples_id)
    try:
        header: dict[str, Any] = json.loads(root.get(f"{below}/samples.json"))
    except FileNotFoundError:
        raise MissingFeatures(f"{root.url}/{below} is missing: run the extract command again to write it") from None
    if header.get("format") != 1:
        raise FormatError(f"{root.url}/{below} has format {header.get('format')!r}; this version reads 1")
    ids = Ids(ZarrBlocks(root, f"{below}/ids"), ZarrBlocks(root, f"{below}/offsets"))
    sizes = ZarrBlocks(root, f"{below}/sizes").read(slice(None))
    loaded = Samples(dataset, split, ids, sizes, _LazyTargets(root, below))
    loaded.__dict__["id"] = samples_id  # the folder's name; `store verify` hashes the ids again
    return loaded
