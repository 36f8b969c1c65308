"""The commands that make a record again, from what it says was asked for."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from probe.config import ProbeConfig
from probe.report.kinds import settings_of
from store.records import Record

_STEPS = re.compile(r":(?:l2|std|raw|pca\d+)$")
_FEWSHOT: dict[str, tuple[str, Any]] = {
    "dataset": ("dataset", "openmoji"),
    "splits": ("split", []),
    "target": ("target", None),
    "classes": ("classes", []),
    "store": ("store", None),
    "ways": ("ways", "5"),
    "shots": ("shots", "1,5"),
    "queries": ("queries", 15),
    "episodes": ("episodes", 600),
    "repeats": ("repeats", 1),
    "crossing": ("group", None),
    "apart": ("apart", None),
    "allow_duplicates": ("allow-duplicates", False),
    "classifiers": ("classifier", "nearest"),
    "transform": ("transform", "none"),
    "centre": ("centre", None),
    "ensemble": ("ensemble", False),
    "seed": ("seed", 0),
    "neighbours": ("neighbours", 1),
    "weight_decay": ("weight-decay", None),
    "read_episodes": ("read-episodes", None),
    "device": ("device", "auto"),
}
"""Setting of a few-shot record -> its flag, and the default that needs no flag."""


def commands(record: Record) -> list[str]:
    """What to type, in order: extract the features where they are not stored, then the run itself.

    A record that names its own command is believed. Empty for a record of which neither is known.
    """
    if isinstance(told := record.config.get("command"), str):
        return [told]
    flags = {"probe": _probe, "fewshot": _fewshot}.get(record.kind)
    if flags is None:
        return []
    return [*_extract(record), " ".join(["python -m", record.kind, *map(shlex.quote, flags(record))])]


def _extract(record: Record) -> Iterator[str]:
    """Backbones that no one else has to train or import are extracted by name."""
    names = list(dict.fromkeys(str(item.get("backbone")) for item in record.features))
    if names:
        words = ["--backbone", ",".join(names), *_flag("dataset", record.config.get("dataset"), "openmoji")]
        if (views := record.config.get("views", 1)) != 1:
            words += ["--views", str(views)]
        words += _flag("store", record.config.get("store"), None)
        yield " ".join(["python -m extract", *map(shlex.quote, words)])


def _probe(record: Record) -> Iterator[str]:
    config, label = settings_of(record), record.metrics.get("label")
    features = _as_made(record)
    row = f"{label}=" if label and label != features else ""
    yield from ("--features", row + features.partition(" (sub")[0])
    unread = () if "vrex" in (config.get("objective") or ()) else ("penalty", "anneal")  # older records tell them
    for item in fields(ProbeConfig):
        if item.name not in ("features", *unread):
            yield from _flag(item.name.replace("_", "-"), config.get(item.name, item.default), item.default)


def _as_made(record: Record) -> str:
    """The features of a probe; of sgd before `decay_batch_norm` a block without options was standardised: `a:std`."""
    config, features = record.config, str(record.config["features"])
    if record.metrics.get("solver") != "sgd" or "decay_batch_norm" in config or config.get("batch_norm") == "none":
        return features
    names, sub, what = features.partition(" (sub")
    return ",".join(name if _STEPS.search(name) else f"{name}:std" for name in names.split(",")) + sub + what


def _fewshot(record: Record) -> Iterator[str]:
    config = record.config
    for features in config["features"]:
        yield from ("--features", str(features))
    values = {**config, **(config.get("settings") or {})}
    for name, (flag, default) in _FEWSHOT.items():
        yield from _flag(flag, values.get(name, default), default)
    if compare := values.get("compare"):
        yield from ("--compare", *map(str, compare))


def _flag(flag: str, value: Any, default: Any) -> list[str]:
    if value is None or value == default:
        return []
    text = _text(value)
    if text == _text(default):
        return []
    if value is True:
        return [f"--{flag}"]
    return [f"--{flag}={text}" if text.startswith("-") else f"--{flag}", *([] if text.startswith("-") else [text])]


def _text(value: Any) -> str:
    """A setting as its flag takes it: lists by comma, few-shot spans and groups in their own way."""
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    if isinstance(value, Mapping):
        if value.keys() == {"low", "high"}:
            low, high = value["low"], value["high"]
            return "all" if not high else str(low) if low == high else f"{low}-{high}"
        return f"{value.get('column')}={value.get('support')}:{value.get('query')}"
    return repr(value) if isinstance(value, float) else str(value)
