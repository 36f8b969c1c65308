"""Predictions under the names, and in the order, that WILDS' examples/evaluate.py reads.

One file a split and replicate, `camelyon17_split:test_seed:0_epoch:best_pred.csv`: a class index a line, in the order
of the official split, which is that of metadata.csv and of the stored samples.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from probe import ranks
from probe.config import ProbeConfig
from probe.heads import LinearHead
from probe.metrics import predict
from probe.ood.groups import Part
from probe.ood.tuning import Watch
from store.errors import BadValue
from store.keys import dataset_name

log = logging.getLogger("probe")
DATASET = "camelyon17"
CLASSES = ("normal", "tumor")


def check_wilds(config: ProbeConfig) -> None:
    """Raise `BadValue` before anything is trained: another dataset or target, or a folder that cannot be made."""
    if dataset_name(config.dataset) != DATASET or config.target != "label":
        raise BadValue(f"--wilds writes predictions of {DATASET}'s labels: the one dataset of WILDS that is read here")
    try:
        Path(str(config.wilds)).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadValue(f"--wilds {config.wilds}: {error.strerror}") from error


def file_name(split: str, replicate: int) -> str:
    return f"{DATASET}_split:{split}_seed:{replicate}_epoch:best_pred.csv"


def write_wilds(
    config: ProbeConfig, label: str, number: int, classes: tuple[str, ...], parts: Mapping[str, Part], watch: Watch
) -> None:
    """Write <folder>/<label>/<objective>-<tuning>/: a file for each role and run.

    Args:
        number: of the initialisation; its runs follow those of the ones before it, so that replicates count from 0.
    Raises: BadValue: a split is not whole, since the evaluator wants a prediction of every sample in it.
    """
    if classes != CLASSES:
        raise BadValue(f"--wilds: the classes are {', '.join(classes)}; WILDS' are {', '.join(CLASSES)}, in this order")
    for role, part in parts.items():
        whole = part.split.x.parts[0].shape[0]
        if len(part.group_N) != whole:
            raise BadValue(
                f"--wilds: {role} has {len(part.group_N)} of the {whole} samples of its split, and the evaluator needs "
                "all: name no groups with --group, extract id_val, and leave out no images"
            )
    seeds = list(dict.fromkeys(seed for *_, seed in watch.best))
    heads = [LinearHead(best.weight, best.bias) for best in watch.best.values()]
    for part in parts.values():
        split = part.split.x.samples.split
        for (tuning, objective, seed), found in zip(watch.best, predict(heads, part.split.data), strict=True):
            if ranks.is_first():
                folder = Path(str(config.wilds)) / re.sub(r"[^\w.,;+-]", "_", label) / f"{objective}-{tuning}"
                folder.mkdir(parents=True, exist_ok=True)
                lines = np.char.mod("%d", found.top_NK[:, 0])
                file = folder / file_name(split, number * len(seeds) + seeds.index(seed))
                file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    log.info("%s: predictions of %d runs in %s", label, len(heads), config.wilds)
