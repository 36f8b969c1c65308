"""Figures of `python -m probe.search`: which backbones say the same, and what each one adds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from probe.report import drawings
from probe.report.figure import Figure, slug
from probe.report.naming import brief
from probe.report.plots import WIDTH
from probe.report.rows import Skipped
from store.records import Record, read_records
from store.root import Root
from store.told import overlap_text

MOST = 20
"""Backbones beyond which a matrix cannot be read."""
MATRICES = {
    "cka": ("Redundancy: linear CKA", "How far two backbones' features span the same directions on the training rows: "
            "0 nothing in common, 1 the same."),
    "error_overlap": ("Redundancy: shared errors", "Of the samples that either of two backbones' own probes has wrong, "
                      "the part that both do."),
}  # fmt: skip


def read_searches(root: Root, skipped: Skipped) -> list[Record]:
    """The newest search of each dataset and target."""
    last: dict[tuple[str, str], Record] = {}
    for record in read_records(root, "search", skipped):
        last[str(record.config.get("dataset")), str(record.config.get("target"))] = record
    return list(last.values())


def search_figures(searches: Sequence[Record], skipped: Skipped) -> Iterator[Figure]:
    """Every figure of every search; a record that is not ours is noted in `skipped`."""
    for record in searches:
        try:
            yield from list(_figures(record))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            key = f"records/{record.kind}/{record.created}-{record.id}.json"
            skipped.append((key, f"no search of ours: {error!r}"))


def _figures(record: Record) -> Iterator[Figure]:
    metrics, config = record.metrics, record.config
    found: Sequence[Mapping[str, Any]] = metrics["candidates"]
    names = [brief(str(one["features"])) for one in found]
    target = str(config.get("target") or "label")
    where = str(config["dataset"]) + (f", {target}" if target != "label" else "")
    if len(names) < 2:
        return
    told = overlap_text(metrics.get("overlap") or {})
    shared = "".join(f" Not apart: {text}." for text in told)
    for kind, (title, caption) in MATRICES.items():
        values = [[float(value) for value in row] for row in metrics["redundancy"][kind]]
        if len(names) <= MOST and [len(row) for row in values] == [len(names)] * len(names):
            side = min(9.0, 2.2 + 0.5 * len(names))
            yield Figure(slug(kind, where), f"{title}, {where}", caption + shared, drawings.matrix(names, values),
                         (max(WIDTH, side + 1), side))  # fmt: skip
    order = sorted(range(len(found)), key=lambda i: -float(found[i]["shapley"]))[:MOST]
    bars = [_bar(found[i]["shapley"], *found[i]["shapley_interval"]) for i in order]
    yield Figure(
        slug("adds", where), f"What each backbone adds: {where}",
        f"Shapley value: points of top-1 on val that it adds to a concatenation, over {metrics['num_subsets']} "
        f"concatenations; bars: 95 % intervals.{shared}",
        drawings.values([names[i] for i in order], bars, "points of top-1 on val"),
        (WIDTH, 1.0 + 0.3 * len(order)),
    )  # fmt: skip


def _bar(value: float, low: float, high: float) -> tuple[float, float, float]:
    return 100 * float(value), 100 * float(low), 100 * float(high)
