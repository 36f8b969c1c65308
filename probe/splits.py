"""Open the splits of one dataset as Data, with one list of classes for all."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from probe import ranks
from probe.config import ProbeConfig
from probe.data import Data, Streamed
from probe.features import Block, column_ranges, open_blocks
from probe.prepare import Prepare, fit_prepare
from store.concat import Concat
from store.errors import BadValue
from store.fingerprint import IMPORTED
from store.root import Root
from store.samples import Targets
from store.target_kinds import check_classes

log = logging.getLogger("probe")


@dataclass(frozen=True)
class Split:
    """One split: its Data, before any step is fitted, and the rows of it that have a label."""

    x: Concat
    data: Data
    rows: np.ndarray
    """(n,) rows of x that have a target, ascending: data's position i is row rows[i]"""
    target: Targets


def class_names(targets: Sequence[Targets]) -> tuple[str, ...]:
    """The classes of the first split, then what other splits have beyond them. Raises `BadValue`: they are numbers."""
    classes = tuple(dict.fromkeys(name for target in targets for name in target.classes))
    check_classes(targets[0].column, classes)
    return classes


def open_split(
    root: Root,
    config: ProbeConfig,
    split: str,
    blocks: list[Block],
    classes: Sequence[str] | None,
    device: torch.device,
    view: int = 0,
    dataset: str | None = None,
) -> Split:
    """Open `split` in one of its views; class indices follow `classes`, or the split's own where None.

    Args:
        dataset: another than the run's: heads then choose among the classes that its target column names.

    Samples without a target are left out, and counted in the log once classes are known. Raises `BadValue`: none has
    one, or `dataset` has a class that is none of `classes`.
    """
    x = open_blocks(root, dataset or config.dataset, split, blocks, view=view)
    ranges = column_ranges(x, blocks)
    target, last = x.samples.target(config.target), classes is not None
    classes = classes or target.classes
    index = {name: i for i, name in enumerate(classes)}
    if dataset and (unknown := [name for name in target.classes if name not in index]):
        raise BadValue(
            f"{dataset}/{split}: {len(unknown)} of its {len(target.classes)} classes are none of the {len(classes)} of "
            f"{config.dataset}, first {unknown[0]!r} (a class of {config.dataset} is {classes[0]!r}): "
            "its samples cannot test these heads"
        )
    table = np.array([index[name] for name in target.classes] + [-1], np.int64)  # -1, no target, picks the last
    y_N = table[target.index]
    rows = np.flatnonzero(y_N >= 0)
    if not rows.size:
        raise BadValue(
            f"{dataset or config.dataset}/{split}: no sample has a {config.target!r}: choose another --target"
        )
    if rows.size < len(y_N) and last:
        log.warning("%s/%s: %d of %d samples have no %s and are left out", dataset or config.dataset, split,
                    len(y_N) - rows.size, len(y_N), config.target)  # fmt: skip
    widths = [high - low for low, high in ranges]
    plain = Prepare(widths, [[] for _ in widths])
    source = Streamed(x, ranges)
    mine = ranks.share(len(rows))
    here = np.arange(mine.start, mine.stop)
    allowed = np.isin(classes, target.classes) if dataset else None
    data = Data(((source, rows[here]),), here, y_N[rows], len(classes), plain, device, allowed_C=allowed)
    return Split(x, data, rows, target)


def fitted(data: Data, blocks: list[Block]) -> Data:
    """The same rows with every block's steps fitted on them."""
    widths = [high - low for low, high in data.prepare.columns]

    def chunks(so_far: Prepare) -> Iterator[torch.Tensor]:
        for _, x in data.raw_chunks():
            yield so_far(x)

    names, recipes = [block.name for block in blocks], [block.steps for block in blocks]
    return data.prepared_by(fit_prepare(widths, names, recipes, chunks, ranks.add, data.device))


def check_same_backbones(splits: Mapping[str, Split]) -> None:
    """Raise `BadValue` where a backbone's weights differ between splits: one name, two networks.

    Of imported features no weights are known: each split comes from a file of its own.
    """
    train = splits["train"].x.parts
    for role, split in splits.items():
        for one, other in zip(train, split.x.parts, strict=True):
            a, b = one.manifest, other.manifest
            imported = IMPORTED in (a.parts["architecture"], b.parts["architecture"])
            if not imported and a.parts["weights"] != b.parts["weights"]:
                raise BadValue(
                    f"{a.backbone}: {a.dataset}/{a.split} and {b.dataset}/{b.split} ({role}) are of different weights; "
                    "name one by its fingerprint (a@3f9c), or extract them with the same"
                )


def check_trained(splits: Mapping[str, Split], classes: tuple[str, ...], config: ProbeConfig) -> None:
    """Raise `BadValue` where heads of `train` could say nothing about `test`; warn of classes that it has none of."""
    present = np.unique(splits["train"].data.labels)
    if len(present) < 2:
        raise BadValue(
            f"{config.dataset}/{config.train}: every {config.target} is {classes[present[0]]!r}; "
            "a head needs at least two classes: choose another --target"
        )
    if "test" in splits and not np.isin(splits["test"].data.labels, present).any():
        store = f" --store {config.store}" if config.store else ""
        raise BadValue(
            f"no class of {config.dataset}/{config.test} has a training sample in {config.train}, so no head could "
            f"find it; for new classes: python -m fewshot --features {','.join(splits['train'].x.names)} "
            f"--dataset {config.dataset} --target {config.target}{store}"
        )
    if len(present) < len(classes):
        log.warning("%d of %d classes have no training sample in %s: heads trained on it never choose them",
                    len(classes) - len(present), len(classes), config.train)  # fmt: skip
