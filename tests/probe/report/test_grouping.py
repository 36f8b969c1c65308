import math
import statistics

import pytest
from scipy import stats

from probe.report.grouping import check_names, group, where
from probe.report.intervals import student95
from probe.report.rows import read_results
from store.errors import UnknownName
from store.records import write_record


def test_student95() -> None:
    for degrees in (1, 2, 10, 30, 31, 60, 1000):
        assert student95(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=1e-3)


def test_mean_and_interval_over_seeds(root, probed) -> None:
    values = (0.5, 0.56, 0.6)
    for seed, top1 in enumerate(values):
        write_record(root, probed("a", top1, seed=seed, created="20260101T000000Z"))
    write_record(root, probed("a,b", 0.7))
    one, two = group(read_results(root, []))
    half = stats.t.ppf(0.975, 2) * statistics.stdev(values) / math.sqrt(3)
    assert one.accuracy == pytest.approx(statistics.fmean(values))
    assert one.half == pytest.approx(half, abs=1e-3)
    assert (one.get("runs"), one.get("nll"), one.get("seed")) == (3, 0.5, 1)
    assert two.interval == (0.7 - 0.02, 0.7 + 0.02), "of a single run it is the record's own"


def test_what_cannot_be_compared_has_no_interval(root, probed, fewshot) -> None:
    write_record(root, probed("a", 0.5))
    write_record(root, fewshot({"a": 0.3}))
    (line,) = group(read_results(root, []), ["features"])
    assert line.accuracy == pytest.approx((0.5 + 0.3 + 0.4) / 3)
    assert (line.interval, line.mixes) == (None, ["kind", "setting"])
    assert line.get("setting") == "3 different"


def test_filters_and_unknown_columns(root, probed) -> None:
    write_record(root, probed("a", 0.5))
    write_record(root, probed("a", 0.6, solver="ridge"))
    results = read_results(root, [])
    assert [r.values["accuracy"] for r in where(results, ["method=ridge"])] == [0.6]
    assert where(results, ["config.select=val", "dim=5"]) == []
    check_names(["accuracy", "runs", "metrics.top1", "config.solver"], results)
    with pytest.raises(UnknownName, match="unknown column 'acuracy'; nearest: accuracy"):
        check_names(["acuracy"], results)
