"""The rows that episodes are drawn from: one or several splits of a dataset, one below the other."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from store.concat import Concat, open_features
from store.habits import SPLITS
from store.listing import stored_splits
from store.root import Root
from store.samples import Samples, Targets
from store.source import check_source


def default_splits(root: Root, dataset: str) -> tuple[str, ...]:
    """`novel` where the dataset has it; else train, val and test, those that it has today, with features."""
    stored = stored_splits(root, dataset)
    if "novel" in stored:
        return ("novel",)
    return tuple(split for split in stored if split in SPLITS) or tuple(stored) or SPLITS


@dataclass(frozen=True, eq=False)
class Pool:
    """All rows of some splits, numbered through. Rows that some feature set could not read are never drawn."""

    features: Mapping[str, tuple[Concat, ...]]
    """`a,b,c` -> its concatenation in each split."""
    everything: tuple[Concat, ...]
    """In each split all of them side by side, which checks that they are of the same images."""

    @cached_property
    def samples(self) -> tuple[Samples, ...]:
        """The samples of each split, those without features included: episodes number the rows so."""
        return tuple(concat.parts[0].samples for concat in self.everything)

    @cached_property
    def starts(self) -> np.ndarray:
        """(splits + 1,) int64: the first row of each split, and the number of rows."""
        return np.cumsum([0, *(len(samples) for samples in self.samples)])

    @cached_property
    def id(self) -> str:
        """64 hex digits over the splits and their samples ids: what an episode file belongs to."""
        text = "".join(f"{samples.split}\0{samples.id}\n" for samples in self.samples)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(samples.split for samples in self.samples)

    @cached_property
    def rows(self) -> np.ndarray:
        """The rows that every feature set has, ascending int64."""
        kept = [np.arange(part.parts[0].shape[0]) if part.rows is None else part.rows for part in self.everything]
        return np.concatenate([rows + start for rows, start in zip(kept, self.starts[:-1], strict=True)])

    def sample(self, row: int) -> str:
        """`split/id` of a row, for error texts."""
        split = int(np.searchsorted(self.starts, row, "right")) - 1
        return f"{self.splits[split]}/{self.samples[split].ids[int(row - self.starts[split])]}"

    def target(self, column: str | None = None) -> Targets:
        """A target column over all rows; classes of one name are one class.

        None: `subcategory` where every split has it, else `label`.
        """
        if column is None:
            column = "subcategory" if all("subcategory" in samples.targets for samples in self.samples) else "label"
        parts = [samples.target(column) for samples in self.samples]
        classes = list(dict.fromkeys(name for part in parts for name in part.classes))
        index = []
        for part in parts:
            table = np.array([*map(classes.index, part.classes), -1])  # a target of -1 picks the last: still no class
            index.append(table[part.index])
        return Targets(column, tuple(classes), np.concatenate(index))

    def target_hashes(self, column: str) -> dict[str, str]:
        return {f"{samples.split}:{column}": samples.target(column).hash for samples in self.samples}

    def dim(self, name: str) -> int:
        return self.features[name][0].dim

    def read(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Features of ascending pool rows, (n, D) float32."""
        out = np.empty((len(rows), self.dim(name)), np.float32)
        edges = np.searchsorted(rows, self.starts)
        for part, start, low, high in zip(self.features[name], self.starts, edges[:-1], edges[1:], strict=False):
            if low < high:
                inside = rows[low:high] - start
                part.read(inside if part.rows is None else np.searchsorted(part.rows, inside), out[low:high])
        return out

    def describe(self) -> list[dict[str, Any]]:
        """Every feature set that is used, for the record."""
        found = {}
        for part in (part for concat in self.everything for part in concat.parts):
            m = part.manifest
            found[m.key, m.fingerprint] = {
                "dataset": m.dataset, "split": m.split, "backbone": m.backbone, "fingerprint": m.fingerprint,
            }  # fmt: skip
        return list(found.values())


def open_pool(root: Root, dataset: str, splits: Sequence[str], features: Sequence[str]) -> Pool:
    """Open every concatenation of `features` in every split.

    Raises `MissingFeatures` with the command that makes them; `SamplesMismatch`: they are not of the same images.
    """
    opened = {name: tuple(open_features(root, dataset, split, name) for split in splits) for name in features}
    everything = tuple(Concat([p for x in opened.values() for p in x[i].parts]) for i in range(len(splits)))
    check_source(root, dataset, dict(zip(splits, everything, strict=True)))
    return Pool(opened, everything)
