import json

import pytest

from probe.report import collect, main, table
from store.errors import BadValue
from store.records import Record, write_record


def probed(features: str, top1: float, **options: object) -> Record:
    return Record(
        kind="probe",
        config={"dataset": "toy"},
        metrics={"features": features, "solver": "lbfgs", "dim": 4, "top1": top1},
        **options,  # type: ignore[arg-type]
    )


def test_the_newest_result_of_every_concatenation(root) -> None:
    write_record(root, probed("a", 0.5, created="20260101T000000Z"))
    write_record(root, probed("a", 0.75, created="20260102T000000Z"))
    write_record(root, probed("a,b", 0.875, created="20260103T000000Z"))
    result = {"features": "a,b", "classifier": "nearest", "ways": 5, "shots": 1, "accuracy": 0.25, "ci95": 0.0125}
    write_record(root, Record(kind="fewshot", config={"dataset": "toy"}, metrics={"results": [result]}))
    root.put("records/probe/broken.json", b"{")
    assert table(collect(root)).splitlines() == [
        "features  dim  lbfgs top-1  nearest 5-way 1-shot",
        "--------  ---  -----------  --------------------",
        "a           4         75.0",
        "a,b         4         87.5  25.0+-1.2",
    ]


def test_no_records(root, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadValue, match=r"no records in .*; run: python -m probe --features"):
        collect(root)
    write_record(root, probed("a", 0.5))
    with pytest.raises(BadValue, match="no records of openmoji"):
        collect(root, "openmoji")
    assert main(["--store", root.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["lbfgs top-1"] == "50.0"
