"""What each kind of record says: its results as columns of probe/report/rows.py."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from probe.config import ProbeConfig
from probe.report.intervals import mean_half
from probe.report.naming import family_of
from probe.worst import LEAST_CLASSES, worst_group
from store.records import Record
from store.told import overlap_text

SAME = ("features", "dataset", "target", "group", "store", "seed", "seeds", "device", "memory", "predictions", "sub")
"""Settings of `probe` that a method's name leaves out: they have a column, or change no number."""
LARGEST = 1e100
"""Numbers of a record are smaller; beyond it they would overflow."""
PROBE_DEFAULTS = {
    item.name: list(item.default) if isinstance(item.default, tuple) else item.default
    for item in fields(ProbeConfig)
    if item.name not in SAME
}
FEWSHOT_DEFAULTS: dict[str, Any] = {
    "transform": "none", "centre": None, "crossing": None, "apart": None, "classes": [], "queries": 15,
    "read_episodes": None, "neighbours": 1, "weight_decay": None, "allow_duplicates": False,
}  # fmt: skip


def settings_of(record: Record) -> Mapping[str, Any]:
    """The settings of a record, with what was not yet said when it was made.

    Before `decay_batch_norm` there was one, sgd's weight decay fell on BatchNorm's scale and shift.
    """
    config = record.config
    if record.kind != "probe" or "decay_batch_norm" in config:
        return config
    decayed = record.metrics.get("solver") == "sgd" and config.get("batch_norm", "affine") == "affine"
    return {**config, "decay_batch_norm": decayed}


def _probe(record: Record) -> Iterator[dict[str, Any]]:
    metrics, config = record.metrics, settings_of(record)
    low, high = metrics.get("top1_interval") or (None, None)
    features = str(metrics["features"])
    plain = ("dim", "val_top1", "optimism_gap", "mean_class_accuracy", "nll", "calibration_error", "weight_decay")
    if metrics.get("objective"):
        yield from _tuned(record)
        return
    yield {
        **{name.removesuffix("_top1"): metrics.get(name) for name in plain},
        **_worst(metrics, metrics.get("per_group")),
        "top5": metrics.get("top5") if metrics.get("num_classes", LEAST_CLASSES) >= LEAST_CLASSES else None,
        "overlap": _overlap(metrics),
        "target": config.get("target", "label"),
        "split": config.get("test", "test"),
        "features": features,
        **family_of(features),
        "method": " ".join([str(metrics["solver"]), *changed(config, PROBE_DEFAULTS, "solver")]),
        "setting": "top-1",
        "accuracy": share(metrics["top1"]),
        "low": low,
        "high": high,
        "n": metrics.get("num_samples"),
        "parameters": metrics.get("backbone_parameters"),
        "flops": metrics.get("backbone_flops_per_image"),
        "head_parameters": metrics.get("num_parameters"),
    }


def _tuned(record: Record) -> Iterator[dict[str, Any]]:
    """A group objective: one result for each way to tune; the interval is over its runs."""
    metrics, features = record.metrics, str(record.metrics["features"])
    told = changed(record.config, PROBE_DEFAULTS, "solver", "objective", "select")
    for tuning, found in metrics["tunings"].items():
        accuracy, std, runs = share(found["top1"]), found.get("top1_std"), len(found["runs"])
        half = None if std is None or runs < 2 else mean_half(std, runs)
        yield {
            "target": record.config.get("target", "label"),
            "split": record.config.get("test", "test"),
            "features": features,
            "label": metrics.get("label"),
            **family_of(features),
            "method": " ".join([str(metrics["objective"]), str(metrics["solver"]), *told]),
            "setting": f"top-1, {str(tuning).upper()}-tuned",
            "accuracy": accuracy,
            "low": None if half is None else accuracy - half,
            "high": None if half is None else accuracy + half,
            "n": metrics.get("num_samples"),
            "std": std,
            "val": found.get("ood_val" if tuning == "ood" else "id_val"),
            **_worst(found, found.get("accuracy_by_group")),
            "overlap": _overlap(metrics),
            "dim": metrics.get("dim"),
            "parameters": metrics.get("backbone_parameters"),
            "flops": metrics.get("backbone_flops_per_image"),
            "head_parameters": metrics.get("num_parameters"),
        }


def _fewshot(record: Record) -> Iterator[dict[str, Any]]:
    config = {**record.config, **(record.config.get("settings") or {})}
    told = changed(config, FEWSHOT_DEFAULTS, "settings")
    target = next((name.partition(":")[2] for name in record.targets), config.get("target"))
    for found in record.metrics["results"]:
        accuracy, ci95 = share(found["accuracy"]), found.get("ci95")
        half = ci95 if is_number(ci95) else None
        features = str(found["features"])
        yield {
            "target": target,
            "split": ",".join(map(str, record.metrics.get("splits") or ())) or None,
            "features": features,
            **family_of(features),
            "method": " ".join([str(found["classifier"]), *told]),
            "setting": f"{found['ways']}-way {found['shots']}-shot",
            "accuracy": accuracy,
            "low": None if half is None else accuracy - half,
            "high": None if half is None else accuracy + half,
            "n": found.get("episodes"),
            "classes": classes if isinstance(classes := found.get("classes"), int) else None,
            "overlap": _overlap(record.metrics),
            "std": found.get("std"),
            "dim": found.get("dim"),
            "parameters": found.get("backbone_parameters"),
            "flops": found.get("backbone_flops_per_image"),
            "seconds": found.get("seconds"),
        }


def _worst(found: Mapping[str, Any], accuracy: Any) -> dict[str, Any]:
    """The worst group of those that are large enough, also of records that named a smaller one; as it is recorded where
    the sizes of groups are not.
    """
    names = ("worst_group", "worst_group_accuracy")
    samples = found.get("samples_per_group")
    if not isinstance(samples, Mapping) or not isinstance(accuracy, Mapping):
        return {name: found.get(name) for name in names}
    worst = worst_group(accuracy, samples)
    if worst is None:
        return {}
    return {"worst_group": worst, "worst_group_accuracy": accuracy[worst], "worst_group_n": samples[worst]}


def _overlap(metrics: Mapping[str, Any]) -> str | None:
    """`3 images of train and test are the same, or of one unit`."""
    told = metrics.get("overlap")
    return "; ".join(overlap_text(told)) if isinstance(told, Mapping) and told else None


def _train(record: Record) -> Iterator[dict[str, Any]]:
    """A trained network under its own head, where a split was scored; train records have per cent."""
    config, metrics = record.config, record.metrics
    if metrics.get("val_top1") is None:
        return
    name = str(config["name"])
    yield {
        "dataset": str(config["dataset"]),
        "target": ",".join(config.get("target") or ["label"]),
        "split": config.get("val") or "val",
        "features": name,
        **family_of(name),
        "method": " ".join([str(config.get("recipe")), str(config.get("objective") or "erm")]),
        "setting": "top-1",
        "accuracy": share(metrics["val_top1"] / 100),
    }


def is_number(value: Any) -> bool:
    """Whether a value of a record is a number that can be reckoned with: finite, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def share(value: Any) -> float:
    """Raises `ValueError`: not a number in [0, 1]."""
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"accuracy {value!r} is no share")
    return float(value)


def changed(config: Mapping[str, Any], defaults: Mapping[str, Any], *but: str) -> list[str]:
    """`key=value` of every setting that is not the default."""
    told = []
    for name, default in defaults.items():
        value = config.get(name, default)
        if value == default or name in but or plain(value) == plain(default):
            continue
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
        if isinstance(value, Mapping):
            text = ":".join(map(str, value.values()))
        told.append(f"{name.replace('_', '-')}={text}")
    return told


def plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


READERS: dict[str, Callable[[Record], Iterator[dict[str, Any]]]] = {
    "probe": _probe,
    "fewshot": _fewshot,
    "train": _train,
}
"""Kind of a record -> its results. Raise `KeyError`, `TypeError`, `ValueError`: a record that is not ours."""
