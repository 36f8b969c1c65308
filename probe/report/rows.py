"""Records as results: one value for each thing that was measured, with the record it comes from."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from probe.report.kinds import READERS, is_number, plain, settings_of
from probe.report.naming import backbones_of
from store.records import Record, read_records, tell_unchecked
from store.root import Root

COLUMNS: dict[str, str] = {
    "kind": "probe, fewshot or train",
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
    "classes": "of a few-shot result: classes that its episodes are drawn from",
    "overlap": "images that two of its splits share",
    "std": "standard deviation over few-shot repeats, or over the runs of an objective",
    "val": "accuracy on val of the chosen head",
    "optimism_gap": "what choosing on the test split would have added",
    "top5": "share",
    "mean_class_accuracy": "share",
    "worst_group": "name, of those with enough samples",
    "worst_group_accuracy": "share",
    "worst_group_n": "samples of it",
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

NUMBERS = (
    "accuracy", "low", "high", "n", "classes", "std", "val", "optimism_gap", "top5", "mean_class_accuracy",
    "worst_group_accuracy", "worst_group_n", "nll", "calibration_error", "weight_decay", "dim", "parameters", "flops",
    "head_parameters", "seconds",
)  # fmt: skip
"""Columns that are reckoned with."""
log = logging.getLogger("report")
MOST_TOLD = 10
COSTS = ("parameters", "flops")


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
    unchecked = list[str]()
    records = (record for kind in READERS for record in read_records(root, kind, skipped, unchecked))
    found = [result for record in records for result in results_of(record, skipped)]
    tell_unchecked(root, unchecked)
    return with_costs(sorted(found, key=lambda result: result.record.created))


def with_costs(results: Sequence[Result]) -> list[Result]:
    """Parameters and FLOPs where a record does not tell them, but those of its backbones alone do."""
    known: dict[str, dict[str, float]] = {}
    for result in results:
        told = {name: result.values[name] for name in COSTS if result.values[name] is not None}
        if told and result.values["blocks"] == 1:
            known.setdefault(backbones_of(result.values["features"])[0], {}).update(told)
    return [_with_cost(result, known) for result in results]


def _with_cost(result: Result, known: Mapping[str, Mapping[str, float]]) -> Result:
    missing = [name for name in COSTS if result.values[name] is None]
    parts = [known.get(name, {}) for name in backbones_of(result.values["features"])] if missing and known else []
    added = {name: sum(part[name] for part in parts) for name in missing if parts and all(name in p for p in parts)}
    return Result({**result.values, **added}, result.record) if added else result


def tell(url: str, skipped: Skipped) -> None:
    """Log what was left out: the first few by name, how many others."""
    for key, why in skipped[:MOST_TOLD]:
        log.warning("%s/%s is skipped: %s", url, key, why)
    if len(skipped) > MOST_TOLD:
        log.warning("%d other records are skipped; --html lists them", len(skipped) - MOST_TOLD)


def results_of(record: Record, skipped: Skipped) -> list[Result]:
    try:
        rows = list(READERS[record.kind](record))
        return [Result(_checked({**dict.fromkeys(COLUMNS), **_common(record), **row}), record) for row in rows]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        skipped.append((f"records/{record.kind}/{record.created}-{record.id}.json", f"no result of ours: {why}"))
        return []


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Columns of numbers hold numbers, None where one is not finite. Raises `ValueError`: something else."""
    for name in NUMBERS:
        value = values[name]
        if value is None or is_number(value):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} {value!r:.40} is no number")  # noqa: TRY004 -- of what was read, not a bug
        values[name] = None
    return values


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
    config = {name: value for name, value in settings_of(result.record).items() if name not in _VOLATILE}
    return plain([[result.values[name] for name in _SAYS], config])


def columns_of(results: Sequence[Result]) -> list[str]:
    """All names that --by and --columns know here."""
    found = dict.fromkeys(COLUMNS)
    for result in results[-200:]:
        for head in ("config", "metrics", "seconds", "versions"):
            values = getattr(result.record, head)
            found |= {f"{head}.{name}": None for name, value in values.items() if not isinstance(value, list | dict)}
    return list(found)
