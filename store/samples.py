"""Which images, in which order: sample ids and file sizes, and beside them named target columns.

The samples id hashes ids and sizes, never targets: relabelling needs no extraction. Pictures that took the place of
others under the same name and size make it another one too.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from store.errors import BadValue, UnknownName
from store.fingerprint import sha256_json
from store.keys import check_name

CHUNK = 1 << 20
"""Samples handled at a time."""


UNIT = "unit"
"""The target column whose images belong together: a patient, a slide, a film."""


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


def _is_text(name: str) -> bool:
    """Names of files that are not UTF-8 reach Python with lone surrogates in them."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


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
    replaced: str = ""
    """64 hex digits over the pictures that took the place of others, or nothing: `extract/stock.py`."""

    def __post_init__(self) -> None:
        check_name("dataset", self.dataset)
        check_name("split", self.split)
        object.__setattr__(self, "sizes", np.asarray(self.sizes, "<i8"))
        if len(self.ids) != len(self.sizes):
            raise BadValue(f"{self.dataset}/{self.split}: {len(self.ids)} sample ids, but {len(self.sizes)} sizes")
        for name, column in self.targets.items():
            if len(column.index) != len(self.ids):
                raise BadValue(
                    f"{self.dataset}/{self.split}: {len(self.ids)} samples, "
                    f"but target column {name!r} has {len(column.index)} rows"
                )

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def id(self) -> str:
        """Samples id: 64 hex digits over every sample id and size, in order, and over what was replaced.

        Raises `BadValue`: an id that is not text, or holds a NUL.
        """
        digest = hashlib.sha256(b"motherlode samples 1\n")
        for start in range(0, len(self), CHUNK):
            ids, sizes = self.ids[start : start + CHUNK], self.sizes[start : start + CHUNK].tolist()
            text = "".join(f"{sample}\0{size}\n" for sample, size in zip(ids, sizes, strict=True))
            try:
                digest.update(text.encode())
                fine = text.count("\0") == len(ids)
            except UnicodeEncodeError:
                fine = False
            if not fine:
                bad = next(sample for sample in ids if "\0" in sample or not _is_text(sample))
                raise BadValue(f"{self.dataset}/{self.split}: sample id {bad!r} is not Unicode text: rename the file")
        if self.replaced:
            digest.update(f"replaced {self.replaced}\n".encode())
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
        return Samples(self.dataset, self.split, [ids[int(i)] for i in rows], self.sizes[rows], targets, self.replaced)

    def first_difference(self, other: "Samples") -> str:
        """Where two lists of samples part, for an error text."""
        pairs = zip(self.ids, self.sizes, other.ids, other.sizes, strict=False)
        for row, (a, size_a, b, size_b) in enumerate(pairs):
            if a != b:
                return f"first at row {row}: {a!r} against {b!r}"
            if size_a != size_b:
                return f"first at row {row}: {a!r} has {size_a} bytes against {size_b}"
        return f"one has {len(self)} samples, the other {len(other)}"
