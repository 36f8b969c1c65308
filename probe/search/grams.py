"""Gram blocks on disk: Σ x_a x_b' and class sums of x_a for every pair of feature sets, made once; docs/FORMAT.md.

A block is keyed by what it was made of (both feature sets, the rows and their classes), so none can be stale.
"""

import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from probe import ranks
from store.concat import Concat
from store.features import FeatureSet
from store.fingerprint import sha256_json
from store.keys import to_folder
from store.root import Root
from store.runtime import Progress
from store.samples import Targets

log = logging.getLogger("probe")
FORMAT = 1
ROWS = 2048
"""In one product."""
PASS_BYTES = 64 << 20
"""Of blocks made in one pass over the features: what a killed run may lose is one pass."""


@dataclass(frozen=True)
class Rows:
    """The rows of a split that blocks are summed over, in parts, so that a fold is a subtraction."""

    part_N: np.ndarray
    """(N,) int16 the part of every row of the feature sets; -1: left out, it has no class"""
    target: Targets
    """(N,) classes"""

    @property
    def num_parts(self) -> int:
        return int(self.part_N.max()) + 1

    @cached_property
    def id(self) -> str:
        """64 hex digits over the classes and the parts."""
        parts = hashlib.sha256(self.part_N.astype("<i2").tobytes()).hexdigest()
        return sha256_json({"target": self.target.hash, "parts": parts})


@dataclass(frozen=True)
class Sums:
    """Of one feature set, over its readable rows."""

    shift: np.ndarray
    """(D,) float32 near the mean, taken off every row before it is multiplied: centring then cancels nothing"""
    sums: np.ndarray
    """(parts, C, D) float64 Σ (x - shift) over the rows of a class"""
    counts: np.ndarray
    """(parts, C) int64"""


class Grams:
    """Blocks of one split. `make` first; then `sums` and `gram` read."""

    def __init__(self, root: Root, x: Concat, rows: Rows, device: torch.device | None = None) -> None:
        manifest = x.parts[0].manifest
        self.root, self.rows, self.device = root, rows, device or torch.device("cpu")
        self.sets: dict[str, FeatureSet] = {_name(part): part for part in x.parts}
        self.bad_rows = x.bad_rows
        """Left out of every block that is read: bad in any of the sets."""
        self.folder = f"grams/{to_folder(manifest.dataset)}/{to_folder(manifest.split)}/{rows.id}"

    def make(self) -> int:
        """Make the blocks that are missing, each rank its share; returns how many pairs this rank made."""
        names = sorted(self.sets)
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i:]]
        mine = [pairs[i] for i in ranks.share(len(pairs))]
        stored = {name: self.root.list(f"{self.folder}/{name}") for name in names}
        missing = [(a, b) for a, b in mine if f"{b}.npz" not in stored[a] or (a == b and "sums.npz" not in stored[a])]
        with Progress(len(missing), "gram blocks", "pairs") as progress:
            for group in self._passes(missing):
                self._make(group)
                progress.update(len(group))
        ranks.add(torch.zeros(1, device=self.device))  # the others' blocks are there when this returns
        return len(missing)

    def sums(self, part: FeatureSet) -> Sums:
        """Of the rows that every set could read."""
        arrays = self._load(_name(part), "sums")
        sums = Sums(*(np.array(arrays[key]) for key in ("shift", "sums", "counts")))
        for rows in self._extra(part.bad_rows):
            x, parts, classes = self._bad(part, sums.shift, rows), self.rows.part_N[rows], self.rows.target.index[rows]
            np.subtract.at(sums.sums, (parts, classes), x)
            np.subtract.at(sums.counts, (parts, classes), 1)
        return sums

    def gram(self, a: FeatureSet, b: FeatureSet) -> np.ndarray:
        """(parts, D_a, D_b) float64 Σ (x_a - shift_a)(x_b - shift_b)' over the rows that every set could read."""
        if _name(a) > _name(b):
            return self.gram(b, a).transpose(0, 2, 1)
        gram = np.array(self._load(_name(a), _name(b))["gram"])
        for rows in self._extra(np.union1d(a.bad_rows, b.bad_rows)):
            x_a, x_b = (self._bad(part, self._load(_name(part), "sums")["shift"], rows) for part in (a, b))
            for part in range(len(gram)):
                mine = self.rows.part_N[rows] == part
                gram[part] -= x_a[mine].T @ x_b[mine]
        return gram

    def _extra(self, bad: np.ndarray) -> Iterator[np.ndarray]:
        """Rows that are in the stored block although another set could not read them, some at a time."""
        extra = np.setdiff1d(self.bad_rows, bad)
        extra = extra[self.rows.part_N[extra] >= 0]
        for start in range(0, len(extra), ROWS):
            yield extra[start : start + ROWS]

    @staticmethod
    def _bad(part: FeatureSet, shift: np.ndarray, rows: np.ndarray) -> np.ndarray:
        x: np.ndarray = part.read(rows).astype(np.float64) - shift
        return x

    def _passes(self, pairs: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
        """Pairs that are made together: their blocks fit into PASS_BYTES."""
        group, size = list[tuple[str, str]](), 0
        for a, b in pairs:
            more = 8 * self.rows.num_parts * self.sets[a].dim * self.sets[b].dim
            if group and size + more > PASS_BYTES:
                yield group
                group, size = [], 0
            group.append((a, b))
            size += more
        if group:
            yield group

    def _make(self, pairs: Sequence[tuple[str, str]]) -> None:
        """One pass over the sets of these pairs. Products and sums in float64."""
        names, K, C = (
            sorted({name for pair in pairs for name in pair}),
            self.rows.num_parts,
            len(self.rows.target.classes),
        )
        shifts = {name: torch.from_numpy(self._shift(name)).to(self.device) for name in names}
        grams = {(a, b): self._zeros(K, self.sets[a].dim, self.sets[b].dim) for a, b in pairs}
        sums = {a: self._zeros(K * C, self.sets[a].dim) for a, b in pairs if a == b}
        for start in range(0, len(self.rows.part_N), ROWS):
            span = slice(start, start + ROWS)
            order = np.argsort(self.rows.part_N[span], kind="stable")  # the parts one after the other
            rows = start + order[self.rows.part_N[span][order] >= 0]
            parts = self.rows.part_N[rows]
            x = {name: self._read(name, shifts[name], span, rows) for name in names}
            cell = torch.from_numpy(parts.astype(np.int64) * C + self.rows.target.index[rows]).to(self.device)
            for a, sum_CD in sums.items():
                sum_CD.index_add_(0, cell, x[a])
            edges = np.searchsorted(parts, np.arange(K + 1)).tolist()
            for (a, b), gram in grams.items():
                for k in range(K):
                    gram[k].addmm_(x[a][edges[k] : edges[k + 1]].T, x[b][edges[k] : edges[k + 1]])
        for a, sum_CD in sums.items():
            used = self._used(a)
            counts = np.zeros((K, C), np.int64)
            np.add.at(counts, (self.rows.part_N[used], self.rows.target.index[used]), 1)
            self._save(a, "sums", shift=shifts[a], sums=sum_CD.reshape(K, C, -1), counts=counts)
        for (a, b), gram in grams.items():
            self._save(a, b, gram=gram)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self.device)

    def _used(self, name: str) -> np.ndarray:
        return np.setdiff1d(np.flatnonzero(self.rows.part_N >= 0), self.sets[name].bad_rows)

    def _shift(self, name: str) -> np.ndarray:
        """The mean of the set's first readable rows: the set and the rows decide it, no other set."""
        mean: np.ndarray = self.sets[name].read(self._used(name)[:ROWS]).mean(0, dtype=np.float64).astype(np.float32)
        return mean

    def _read(self, name: str, shift: Tensor, span: slice, rows: np.ndarray) -> Tensor:
        """(n, D) float64 `rows` within `span`, less the shift; 0 where the row could not be read."""
        part = self.sets[name]
        x = torch.from_numpy(part.read(span)).to(self.device).double().sub_(shift)
        x = x[torch.from_numpy(rows - span.start)] if len(rows) < len(x) or self.rows.num_parts > 1 else x
        if part.bad_rows.size:
            x[torch.from_numpy(np.isin(rows, part.bad_rows))] = 0
        return x

    def _key(self, a: str, b: str) -> str:
        return f"{self.folder}/{a}/{b}.npz"

    def _save(self, a: str, b: str, **arrays: Tensor | np.ndarray) -> None:
        info = self._info(a, b)
        plain = {key: value.cpu().numpy() if isinstance(value, Tensor) else value for key, value in arrays.items()}
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, info=np.frombuffer(json.dumps(info).encode(), np.uint8), **plain)
        self.root.put(self._key(a, b), buffer.getbuffer())

    def _info(self, a: str, b: str) -> dict[str, object]:
        return {"format": FORMAT, "sets": [a, b], "rows": self.rows.id, "target": self.rows.target.hash}

    def _stored(self, a: str, b: str) -> dict[str, np.ndarray]:
        """Raises: ValueError and others: it is damaged, or another block than its place says."""
        with np.load(io.BytesIO(self.root.get(self._key(a, b))), allow_pickle=False) as file:
            found = {key: file[key] for key in file.files}  # each array's CRC-32 is checked
        if json.loads(found["info"].tobytes()) != self._info(a, b):
            raise ValueError("it is another block")
        return found

    def _load(self, a: str, b: str, *, again: bool = True) -> dict[str, np.ndarray]:
        """A stored block; one that is damaged is made again: it costs a pass, and nothing else is lost."""
        try:
            return self._stored(a, b)
        except (FileNotFoundError, ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
            if not again:
                raise
            log.warning("%s/%s is damaged or gone (%s): made again", self.root.url, self._key(a, b), error)
            self._make([(a, a if b == "sums" else b)])
            return self._load(a, b, again=False)


def _name(part: FeatureSet) -> str:
    """What a set is, and what is in it: extracted again, it may have other bad rows."""
    return f"{part.manifest.fingerprint}-{part.manifest.checksums[:16]}"
