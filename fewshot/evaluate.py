"""Evaluate classifiers on episodes over stored features, and write what was found into a record."""

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from fewshot import episode_file
from fewshot.apart import apart_column, check_once, check_units, used_rows
from fewshot.chunk import Features
from fewshot.config import FewshotConfig
from fewshot.episodes import EpisodeSet, draw_set
from fewshot.lists import class_lists
from fewshot.pool import Pool, default_splits, open_pool
from fewshot.scoring import score_sets
from fewshot.statistics import half_interval, paired, spread
from fewshot.transform import mean_of
from store.concat import expand_names
from store.errors import BadValue
from store.features import backbones
from store.keys import dataset_name
from store.records import Record, write_record
from store.root import Root, open_root
from store.samples import Targets
from store.target_kinds import check_classes

log = logging.getLogger("fewshot")
_STEPS = re.compile(r"(?:\[\d*:\d*\]|:(?:l2|std|raw|pca\d+))+$")
"""Columns and steps in the grammar of probe's --features."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One classifier on one set of episodes over one concatenation or ensemble."""

    features: str
    dim: int
    classifier: str
    ways: str
    shots: str
    queries: int
    episodes: int
    classes: int
    """How many classes the episodes are drawn from."""
    accuracy: float
    """Mean over the episodes, in [0, 1]."""
    ci95: float | None
    """Half of its 95 % interval over the episodes; None of a single one."""
    std: float | None
    """Over the repeats; None for a single one."""
    seconds: float
    correct_E: np.ndarray
    """Accuracy of each episode."""

    def row(self) -> dict[str, Any]:
        """All but the single episodes."""
        return {name: value for name, value in vars(self).items() if name != "correct_E"}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """b - a on the same episodes."""

    a: str
    b: str
    on: str
    """What the two share: the classifier or the features."""
    ways: str
    shots: str
    difference: float
    ci95: float | None


@dataclass(frozen=True, kw_only=True)
class Report:
    dataset: str
    splits: tuple[str, ...]
    target: str
    notes: tuple[str, ...]
    results: tuple[Result, ...]
    differences: tuple[Difference, ...]
    overlap: dict[str, int]
    """Images that stand in the pool more than once, by splits: {"train/test": 3}."""
    record: str
    """Key of the record in the store."""


def evaluate(config: FewshotConfig, root: Root | None = None) -> Report:
    """Draw or read the episodes, evaluate every classifier over every concatenation on them, write a record.

    root: an open store, in place of `config.store`.

    Raises: UserError: features, classes, files or flags that do not fit; store/errors.py.
    """
    began = time.perf_counter()
    root = root or open_root(config.store)
    splits = config.splits or default_splits(root, config.dataset)
    rows = _rows(root, config, splits[0])
    pool = open_pool(root, config.dataset, splits, tuple(dict.fromkeys(name for row in rows.values() for name in row)))
    apart = apart_column(config, pool)
    sets, target, notes = _episodes(config, pool, apart)
    overlap = check_once(pool, used_rows(sets), allowed=config.allow_duplicates)
    mean, more = mean_of(root, config, pool)
    load = partial(_load, pool, config.transform, mean, _device(config.device))
    seconds = {"episodes": time.perf_counter() - began}
    results: list[Result] = []
    for row, members in rows.items():
        dims = {name: pool.dim(name) for name in members}
        found = score_sets(load, dims, config.classifiers, sets, config.settings)
        results += [
            _result(row, sum(dims.values()), classifier, sets[i], *measured)
            for (classifier, i), measured in found.items()
        ]
    seconds["total"] = time.perf_counter() - began
    differences = _differences(results, config.compare)
    if len(splits) > 1:
        notes.append(f"drawn from {', '.join(splits)} together: features are frozen, none was trained on them here")
    record = Record(
        kind="fewshot",
        config=asdict(config),
        features=pool.describe(),
        targets=pool.target_hashes(target.column),
        metrics={
            "samples": pool.id,
            "apart": apart,
            **({"overlap": overlap} if overlap else {}),
            "splits": splits,
            "results": [result.row() for result in results],
            "differences": [asdict(difference) for difference in differences],
        },
        seconds=seconds,
    )
    return Report(
        dataset=config.dataset,
        splits=tuple(splits),
        target=target.column,
        notes=(*notes, *more),
        results=tuple(results),
        differences=tuple(differences),
        overlap=overlap,
        record=write_record(root, record).key,
    )


def _rows(root: Root, config: FewshotConfig, split: str) -> dict[str, tuple[str, ...]]:
    """Name of a row of the table -> the concatenations it evaluates: one, or those of an ensemble."""
    rows: dict[str, tuple[str, ...]] = {}
    for name in config.features:
        rows[name] = (name,)
        members = tuple(expand_names(root, dataset_name(config.dataset), split, name))
        _check_plain(members, root, config, split)
        if config.ensemble and len(members) > 1:
            rows[f"ensemble({name})"] = members
    if config.ensemble and len(rows) == len(config.features):
        raise BadValue("--ensemble needs --features with at least two backbones, a,b")
    return rows


def _check_plain(members: Sequence[str], root: Root, config: FewshotConfig, split: str) -> None:
    """Raise `BadValue`: columns or steps are named, as `python -m probe` takes them; what is stored so is a name."""
    for name in members:
        found = _STEPS.search(name)
        if found and name not in backbones(root, dataset_name(config.dataset), split):
            plain = name[: found.start()]
            raise BadValue(
                f"--features {name}: few-shot takes whole backbones as they are stored, without {found[0]}: "
                f"give {plain}, and --transform l2n for features of length 1"
            )


def _episodes(config: FewshotConfig, pool: Pool, apart: str | None) -> tuple[list[EpisodeSet], Targets, list[str]]:
    """The episode sets, read or drawn, their classes, and what to say about them.

    No value of `apart` is both support and query. Raises `BadValue`: a file of episodes of another column.
    """
    if config.read_episodes:
        sets, column = episode_file.read(config.read_episodes, pool), episode_file.read_target(config.read_episodes)
        if config.target not in (None, column):
            raise BadValue(
                f"--target {config.target}: the episodes of {config.read_episodes} are of classes by {column!r}; leave "
                "--target out, or draw new ones"
            )
        if apart:
            check_units(pool, sets, apart)
        return (
            sets,
            pool.target(column),
            [f"episodes of {config.read_episodes}: their ways, shots and queries are the file's"],
        )
    notes = []
    if apart and not config.apart:
        notes.append(f"no {apart} is both support and query: one image of each is used (--apart none: all images)")
        log.info("%s", notes[-1])  # before an error that there are too few
    target = pool.target(config.target)
    check_classes(target.column, target.classes)
    lists = class_lists(pool, target, config.classes, config.crossing, apart, config.settings.seed)
    sets = [
        draw_set(lists, config.ways, shots, config.queries, config.episodes, config.repeats, config.settings.seed)
        for shots in config.shots
    ]
    if config.write_episodes:
        episode_file.write(config.write_episodes, sets, pool, target.column)
        log.info("wrote %d episodes to %s", sum(map(len, sets)), config.write_episodes)
    if config.crossing:
        crossing = config.crossing
        notes.append(f"support from {crossing.column} {crossing.support}, query from {crossing.query}")
    return sets, target, notes


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise BadValue(f"--device {name}: torch sees no GPU here; leave it out or give --device cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise BadValue(f"--device {name!r}: give auto, cpu, cuda or cuda:1") from None


def _load(
    pool: Pool, transform: str, mean: dict[str, np.ndarray], device: torch.device, name: str, rows: np.ndarray
) -> Features:
    x_ND = torch.from_numpy(pool.read(name, rows)).to(device)
    if name in mean:
        x_ND -= torch.from_numpy(mean[name]).to(device)
    features = Features(name, rows, x_ND, pool.sample)
    return features if transform == "none" else Features(name, rows, features.normalised_ND, pool.sample)


def _result(
    row: str,
    dim: int,
    classifier: str,
    episodes: EpisodeSet,
    correct_E: np.ndarray,
    seconds: float,
) -> Result:
    return Result(
        features=row,
        dim=dim,
        classifier=classifier,
        ways=episodes.ways,
        shots=episodes.shots,
        queries=episodes.queries,
        episodes=len(episodes),
        classes=episodes.classes,
        accuracy=float(correct_E.mean()),
        ci95=half_interval(correct_E),
        std=spread(correct_E, episodes.repeats),
        seconds=seconds,
        correct_E=correct_E,
    )


def _differences(results: Sequence[Result], compare: tuple[str, str] | None) -> list[Difference]:
    """The paired difference of two features for each classifier, or of two classifiers for each features."""
    if compare is None:
        return []
    by = "features" if any(result.features == compare[0] for result in results) else "classifier"
    other = "classifier" if by == "features" else "features"
    found = []
    for a in results:
        for b in results:
            same = (getattr(a, other), a.ways, a.shots) == (getattr(b, other), b.ways, b.shots)
            if same and (getattr(a, by), getattr(b, by)) == compare:
                mean, ci95 = paired(a.correct_E, b.correct_E)
                found.append(
                    Difference(a=compare[0], b=compare[1], on=getattr(a, other), ways=a.ways, shots=a.shots,
                               difference=mean, ci95=ci95)
                )  # fmt: skip
    return found
