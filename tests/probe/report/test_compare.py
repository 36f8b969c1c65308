import json

import pytest

from probe.report.cli import main
from probe.report.compare import end_of
from store.errors import BadValue
from store.records import Record, write_record
from store.root import open_root


@pytest.fixture
def stores(tmp_path, probed):
    a, b = open_root(tmp_path / "a"), open_root(tmp_path / "b")
    for name, one, two in (("same", 0.5, 0.5), ("within", 0.5, 0.51), ("better", 0.5, 0.6), ("worse", 0.5, 0.4)):
        write_record(a, probed(name, one))
        write_record(b, probed(name, two))
    write_record(a, probed("gone", 0.5))
    new = probed("new", 0.5)
    write_record(b, new)
    changed = probed("changed", 0.5)
    write_record(a, changed)
    sets = [{**item, "fingerprint": "0"} for item in changed.features]
    write_record(b, Record(**{**vars(changed), "features": sets, "versions": {"python": "3.12"}}))
    return a, b


def test_two_stores(stores, capsys) -> None:
    assert main(["diff", stores[0].url, stores[1].url, "--json"]) == 0
    rows = {row["features"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert {name: row["state"] for name, row in rows.items() if name != "changed"} == {
        name: name for name in ("same", "within", "better", "worse", "gone", "new")
    }
    assert rows["better"]["difference"] == pytest.approx(0.1)
    assert rows["changed"]["changed"] == ["fingerprint of changed", "python 3.11 → 3.12", "torch 2.6 → None"]
    assert main(["diff", stores[0].url, stores[1].url, "--changed"]) == 0
    text = capsys.readouterr().out
    assert "within" not in text
    assert set(text.splitlines()[-1].split(", ")) == {"1 better", "1 worse", "1 gone", "1 new"}


def test_two_dates(root, probed, capsys) -> None:
    write_record(root, probed("a", 0.5, created="20260101T120000Z"))
    write_record(root, probed("a", 0.75, created="20260102T120000Z"))
    assert main(["diff", "2026-01-01", "2026-01-02T12:00", "--store", root.url, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["a"], row["b"], row["state"]) == (0.5, 0.75, "better")
    with pytest.raises(BadValue, match="no records until 20251231T235959Z"):
        main(["diff", "2025-12-31", "2026-01-02", "--store", root.url])


def test_dates() -> None:
    assert end_of("2026-01-31") == "20260131T235959Z"
    assert end_of("20260131T120000Z") == "20260131T120000Z"
    assert end_of("data/features") is None
