"""Records as the commands write them, made without running any."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from fewshot.config import FewshotConfig
from probe.config import ProbeConfig
from store.records import Record

VERSIONS = {"python": "3.11", "torch": "2.6"}


def _sets(dataset: str, features: str) -> list[dict[str, str]]:
    names = features.partition(" (")[0].split(",")
    return [
        {"dataset": dataset, "split": split, "backbone": name, "fingerprint": f"{split}{name}".encode().hex()}
        for split in ("train", "test")
        for name in names
    ]


def _probed(features: str, top1: float, *, dataset: str = "toy", created: str = "", **options: Any) -> Record:
    """A probe record; `options` are settings of `ProbeConfig` or metrics."""
    settings = {key: options.pop(key) for key in [*options] if key in ProbeConfig.__dataclass_fields__}
    config = ProbeConfig(features=(features,), dataset=dataset, **settings)
    metrics = {
        "features": features, "dim": 4 * len(features.split(",")), "num_parameters": 12, "dataset": dataset,
        "solver": config.solver, "selection": "chosen on val", "weight_decay": 0.1, "top1": top1, "top5": 1.0,
        "top1_interval": [top1 - 0.02, top1 + 0.02], "num_samples": 1000, "val_top1": top1, "optimism_gap": 0.01,
        "per_class": {"x": top1, "y": top1 / 2, "z": 0.1}, "nll": 0.5,
        "grid": [{"weight_decay": 10.0**-k, "val_top1": top1 - 0.01 * k, "test_top1": top1} for k in range(4)],
    }  # fmt: skip
    told = {"created": created} if created else {}
    return Record(
        kind="probe",
        config={**asdict(config), "features": features},
        features=_sets(dataset, features),
        targets={"test:label": "ab" * 32},
        metrics=metrics | options,
        seconds={"open": 0.5, "train": 1.0},
        versions=VERSIONS,
        **told,
    )


def _fewshot(accuracies: dict[str, float], *, dataset: str = "toy", **settings: Any) -> Record:
    """A few-shot record with 1 and 5 shots of each concatenation."""
    config = FewshotConfig(features=tuple(accuracies), dataset=dataset, **settings)
    results = [
        {"features": name, "dim": 4, "classifier": "nearest", "ways": "5", "shots": shots, "queries": 15,
         "episodes": 600, "accuracy": accuracy + 0.1 * (shots == "5"), "ci95": 0.01, "std": None, "seconds": 0.1}
        for name, accuracy in accuracies.items()
        for shots in ("1", "5")
    ]  # fmt: skip
    return Record(
        kind="fewshot", config=asdict(config), features=_sets(dataset, ",".join(accuracies)),
        targets={"test:label": "cd" * 32}, metrics={"splits": ["test"], "results": results}, seconds={"total": 2.0},
        versions=VERSIONS,
    )  # fmt: skip


@pytest.fixture(scope="session")
def probed() -> Callable[..., Record]:
    return _probed


@pytest.fixture(scope="session")
def fewshot() -> Callable[..., Record]:
    return _fewshot
