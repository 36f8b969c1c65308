"""Whatever stands in a record, tables and page are made, and what is no result of ours is named."""

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from probe.report import page_parts, pivot
from probe.report.answer import answers
from probe.report.figures import figures
from probe.report.grouping import group
from probe.report.page_data import embed, table_data
from probe.report.rows import Skipped, newest, results_of, with_costs
from probe.report.tables import FORMATS
from store.records import Record

VALUES = (None, True, -1, 0, 1e308, float("nan"), float("inf"), 10**400, "", "x", [], [1], {}, {"a": 1}, {"x": "y"})
SAMPLE = 500


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value within, of lists the first two."""
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*path, key))


def changed(values: dict[str, Any], path: tuple[Any, ...], value: Any) -> Record:
    made = copy.deepcopy(values)
    part = made
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return Record(**made)


@pytest.fixture
def records(probed, fewshot) -> list[dict[str, Any]]:
    groups = {"group": "g", "per_group": {"x": 0.5, "y": 0.7}, "samples_per_group": {"x": 20, "y": 3}}
    told = {"overlap": {"train/test": 3}, "samples_per_class": {"x": 3, "y": 4}, "num_classes": 9, **groups}
    probe, episodes = probed("a,b", 0.7, **told), fewshot({"a": 0.3, "a,b": 0.4})
    one = {"a": "a", "b": "a,b", "on": "nearest", "ways": "5", "shots": "1", "difference": 0.1, "ci95": 0.01}
    episodes.metrics.update(differences=[one], overlap={"novel": 1})
    return [json.loads(json.dumps(asdict(record))) for record in (probe, episodes)]


def test_any_value_anywhere(records, probed) -> None:
    cases = [
        (values, (part, *path), value)
        for values in records
        for part in ("metrics", "config")
        for path in places(values[part])
        for value in VALUES
    ]
    others, left_out = [probed("a", 0.6), probed("b", 0.5)], 0
    for values, path, value in random.Random(0).sample(cases, SAMPLE):
        skipped: Skipped = []
        every = [changed(values, path, value), *others]
        results = newest(with_costs([result for record in every for result in results_of(record, skipped)]))
        left_out += bool(skipped)
        lines = group(results)
        for form in FORMATS.values():
            form(pivot.table(results))
        FORMATS["text"](pivot.list_table(lines, ["features", "accuracy", "nll", "worst_group", "classes", "overlap"]))
        json.dumps(pivot.to_json(results))
        embed(table_data(lines))
        page_parts.answer(answers(lines), None)
        page_parts.paired(results)
        list(figures(lines))
    assert 0 < left_out < SAMPLE / 2
