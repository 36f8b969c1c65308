"""Records as results: one value for each thing that was measured, with the record it comes from."""

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from probe.config import ProbeConfig
from probe.report.intervals import mean_half
from probe.report.naming import family_of
from store.records import Record, read_records
from store.root import Root

COLUMNS: dict[str, str] = {
    "kind": "probe or fewshot",
    "dataset": "name in the store",
    "target": "the column that was predicted",
    "split": "what was scored",
    "features": "the concatenation",
    "label": "the row of a table that several concatenations belong to",
    "family": "single, cat, cat-sub, wide, wide-sub, distill or ensemble",
    "blocks": "backbones in the concatenation",
    "method": "solver or classifier, with every flag that is not the default",
    "setting": "top-1, or ways and shots",
    "accuracy": "share in [0, 1]",
    "low": "lower end of the 95 % interval",
    "high": "upper end",
    "n": "samples or episodes behind it",
    "std": "standard deviation over few-shot repeats, or over the runs of an objective",
    "val": "accuracy on val of the chosen head",
    "optimism_gap": "what choosing on the test split would have added",
    "top5": "share",
    "mean_class_accuracy": "share",
    "worst_group": "name",
    "worst_group_accuracy": "share",
    "nll": "mean negative log-likelihood, nats",
    "calibration_error": "share",
    "weight_decay": "that was chosen",
    "dim": "columns of the concatenation",
    "parameters": "of the backbones together",
    "flops": "of the backbones together, per image",
    "head_parameters": "of the head",
    "seconds": "of the run",
    "seed": "of the run",
    "created": "UTC",
    "record": "id",
}
"""What a result has, for --by, --columns and --list; also config.X, metrics.X, seconds.X, versions.X of its record."""

log = logging.getLogger("report")
MOST_TOLD = 10
KINDS = ("probe", "fewshot")
"""Records that hold results; `search`, `train` and `extract` records are read by the figures and the page."""

SAME = ("features", "dataset", "target", "group", "store", "seed", "seeds", "device", "memory", "predictions", "sub")
"""Settings of `probe` that a method's name leaves out: they have a column, or change no number."""
PROBE_DEFAULTS = {
    item.name: list(item.default) if isinstance(item.default, tuple) else item.default
    for item in fields(ProbeConfig)
    if item.name not in SAME
}
FEWSHOT_DEFAULTS: dict[str, Any] = {
    "transform": "none", "centre": None, "crossing": None, "apart": None, "classes": [], "queries": 15,
    "read_episodes": None, "neighbours": 1, "weight_decay": None,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Result:
    values: Mapping[str, Any]
    """A value for every name of `COLUMNS`, None where it is not known."""
    record: Record = field(repr=False)

    def get(self, name: str) -> Any:
        """A column, or `config.seed` and the like of the record; None where there is none."""
        if name in self.values:
            return self.values[name]
        head, _, rest = name.partition(".")
        if head not in ("config", "metrics", "seconds", "versions"):
            return None
        value: Any = getattr(self.record, head)
        for part in rest.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


Skipped = list[tuple[str, str]]
"""(key of the record, why it is left out)"""


def read_results(root: Root, skipped: Skipped) -> list[Result]:
    """Every result in the store, oldest first. What is no record, or of a kind of its own, is noted in `skipped`."""
    records = (record for kind in KINDS for record in read_records(root, kind, skipped))
    found = [result for record in records for result in results_of(record, skipped)]
    return sorted(found, key=lambda result: result.record.created)


def tell(url: str, skipped: Skipped) -> None:
    """Log what was left out: the first few by name, how many others."""
    for key, why in skipped[:MOST_TOLD]:
        log.warning("%s/%s is skipped: %s", url, key, why)
    if len(skipped) > MOST_TOLD:
        log.warning("%d other records are skipped; --html lists them", len(skipped) - MOST_TOLD)


def results_of(record: Record, skipped: Skipped) -> list[Result]:
    try:
        rows = list(_probe(record) if record.kind == "probe" else _fewshot(record))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        skipped.append((f"records/{record.kind}/{record.created}-{record.id}.json", f"no result of ours: {why}"))
        return []
    return [Result({**dict.fromkeys(COLUMNS), **_common(record), **row}, record) for row in rows]


def _common(record: Record) -> dict[str, Any]:
    seconds = [value for value in record.seconds.values() if isinstance(value, int | float)]
    seed = record.config.get("seed", (record.config.get("settings") or {}).get("seed"))
    sets = [item for item in record.features if isinstance(item, Mapping)]
    return {
        "kind": record.kind,
        "dataset": str(sets[0]["dataset"] if sets and "dataset" in sets[0] else record.config["dataset"]),
        "seconds": record.seconds.get("total", sum(seconds) if seconds else None),
        "seed": seed,
        "created": record.created,
        "record": record.id,
    }


def _probe(record: Record) -> Iterator[dict[str, Any]]:
    metrics, config = record.metrics, record.config
    low, high = metrics.get("top1_interval") or (None, None)
    features = str(metrics["features"])
    plain = ("dim", "val_top1", "optimism_gap", "top5", "mean_class_accuracy", "worst_group", "worst_group_accuracy",
             "nll", "calibration_error", "weight_decay")  # fmt: skip
    if metrics.get("objective"):
        yield from _tuned(record)
        return
    yield {
        **{name.removesuffix("_top1"): metrics.get(name) for name in plain},
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
            "worst_group": found.get("worst_group"),
            "worst_group_accuracy": found.get("worst_group_accuracy"),
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
        accuracy, half = share(found["accuracy"]), found.get("ci95")
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
            "std": found.get("std"),
            "dim": found.get("dim"),
            "parameters": found.get("backbone_parameters"),
            "flops": found.get("backbone_flops_per_image"),
            "seconds": found.get("seconds"),
        }


def share(value: Any) -> float:
    """Raises `ValueError`: not a number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise ValueError(f"accuracy {value!r} is no share")
    return float(value)


def changed(config: Mapping[str, Any], defaults: Mapping[str, Any], *but: str) -> list[str]:
    """`key=value` of every setting that is not the default."""
    told = []
    for name, default in defaults.items():
        value = config.get(name, default)
        if value == default or name in but or _plain(value) == _plain(default):
            continue
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
        if isinstance(value, Mapping):
            text = ":".join(map(str, value.values()))
        told.append(f"{name.replace('_', '-')}={text}")
    return told


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def newest(results: Iterable[Result]) -> list[Result]:
    """The last result of every run that was made more than once, oldest first; other seeds are other runs.

    A later one that found the same and says nothing of groups does not replace one that does.
    """
    last: dict[str, Result] = {}
    for result in results:
        key = _identity(result)
        old = last.pop(key, None)
        less = old and old.values["worst_group"] and not result.values["worst_group"]
        last[key] = old if old and less and old.values["accuracy"] == result.values["accuracy"] else result
    return list(last.values())


_VOLATILE = ("features", "store", "device", "memory", "predictions", "sub", "group", "compare", "classifiers", "shots",
             "episodes", "repeats", "write_episodes")  # fmt: skip
_SAYS = ("kind", "dataset", "target", "split", "features", "method", "setting")


def _identity(result: Result) -> str:
    config = {name: value for name, value in result.record.config.items() if name not in _VOLATILE}
    return _plain([[result.values[name] for name in _SAYS], config])


def columns_of(results: Sequence[Result]) -> list[str]:
    """All names that --by and --columns know here."""
    found = dict.fromkeys(COLUMNS)
    for result in results[-200:]:
        for head in ("config", "metrics", "seconds", "versions"):
            values = getattr(result.record, head)
            found |= {f"{head}.{name}": None for name, value in values.items() if not isinstance(value, list | dict)}
    return list(found)
