"""Evaluate classifiers on episodes over stored features, and write what was found into a record."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch

from fewshot.chunk import Chunk, Features
from fewshot.classifiers import CLASSIFIERS
from fewshot.config import FewshotConfig
from fewshot.episodes import Episodes, class_rows, draw, fitting_classes
from fewshot.pool import Pool, default_splits, open_pool
from store.records import Record, write_record
from store.root import open_root

log = logging.getLogger("fewshot")

CHUNK = 512
"""Episodes that are evaluated at a time."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One classifier on one set of episodes over one concatenation."""

    features: str
    classifier: str
    ways: str
    shots: str
    queries: int
    episodes: int
    accuracy: float
    """Mean over the episodes, in [0, 1]."""
    ci95: float
    """Half of its 95 % interval, 1.96 std / sqrt(episodes), as Chen et al. 2019 report it."""
    seconds: float
    correct_E: np.ndarray
    """Accuracy of each episode."""

    def row(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "correct_E"}


@dataclass(frozen=True, kw_only=True)
class Report:
    dataset: str
    splits: tuple[str, ...]
    target: str
    notes: tuple[str, ...]
    results: tuple[Result, ...]
    record: str


def half_interval(values_E: np.ndarray) -> float:
    """Half of the 95 % interval of a mean."""
    return float(1.96 * values_E.std() / np.sqrt(len(values_E)))


def load(pool: Pool, name: str, episodes: Sequence[Episodes]) -> Features:
    """The features of every row that the episodes use."""
    used = np.unique(np.concatenate([rows.ravel() for e in episodes for rows in (e.support_EWS, e.query_EWQ)]))
    return Features(name, used, torch.from_numpy(pool.read(name, used)), pool.sample)


def accuracy(classifier: str, features: Features, episodes: Episodes) -> np.ndarray:
    """The share of query images each episode gets right, (E,) float64."""
    module, _, name = CLASSIFIERS[classifier].function.partition(":")
    function = getattr(import_module(f"fewshot.classifiers.{module}"), name)
    truth = torch.arange(episodes.way).repeat_interleave(episodes.query)
    found = []
    for start in range(0, len(episodes), CHUNK):
        part = episodes.take(slice(start, start + CHUNK))
        support, query = (
            torch.from_numpy(np.searchsorted(features.rows_N, rows)) for rows in (part.support_EWS, part.query_EWQ)
        )
        scores_EMW = function(Chunk(features, support, query))
        found.append((scores_EMW.argmax(dim=2) == truth).double().mean(dim=1).numpy())
    return np.concatenate(found)


def evaluate(config: FewshotConfig) -> Report:
    """Draw the episodes, evaluate every classifier over every concatenation on them, write a record."""
    began = time.perf_counter()
    root = open_root(config.store)
    splits = config.splits or default_splits(root, config.dataset)
    pool = open_pool(root, config.dataset, splits, config.features)
    target = pool.target(config.target)
    rows = class_rows(target, pool.rows)
    drawn = []
    for shot in config.shots:
        fitting = fitting_classes(target, rows, shot.high, config.queries, config.ways.high)
        drawn.append(
            draw(
                rows,
                fitting,
                way=config.ways.high,
                shot=shot.high,
                query=config.queries,
                episodes=config.episodes,
                seed=config.seed,
            )
        )
    seconds = {"draw": time.perf_counter() - began}
    results = []
    for name in config.features:
        began = time.perf_counter()
        features = load(pool, name, drawn)
        seconds[f"read {name}"] = time.perf_counter() - began
        for classifier in config.classifiers:
            for shot, episodes in zip(config.shots, drawn, strict=True):
                began = time.perf_counter()
                correct_E = accuracy(classifier, features, episodes)
                results.append(
                    Result(
                        features=name,
                        classifier=classifier,
                        ways=str(config.ways),
                        shots=str(shot),
                        queries=config.queries,
                        episodes=len(correct_E),
                        accuracy=float(correct_E.mean()),
                        ci95=half_interval(correct_E),
                        seconds=time.perf_counter() - began,
                        correct_E=correct_E,
                    )
                )
    notes = []
    if len(splits) > 1:
        notes.append(
            f"episodes are drawn from {', '.join(splits)} together: the backbones are frozen, none was trained on them"
        )
    record = write_record(
        root,
        Record(
            kind="fewshot",
            config=asdict(config),
            features=pool.describe(),
            targets=pool.target_hashes(target.column),
            metrics={"samples": pool.id, "splits": splits, "results": [result.row() for result in results]},
            seconds=seconds,
        ),
    )
    return Report(
        dataset=config.dataset,
        splits=tuple(splits),
        target=target.column,
        notes=tuple(notes),
        results=tuple(results),
        record=record.key,
    )
