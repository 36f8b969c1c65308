import csv
import io
import json

import pytest

from probe.report.cli import main
from store.errors import BadValue, UnknownName
from store.records import write_record


@pytest.fixture
def filled(root, probed, fewshot):
    """A store with two concatenations, one twice, few-shot results and a broken record."""
    write_record(root, probed("a", 0.5, created="20260101T000000Z"))
    write_record(root, probed("a", 0.75, created="20260102T000000Z"))
    write_record(root, probed("a,b", 0.875, created="20260103T000000Z"))
    write_record(root, fewshot({"a,b": 0.25}))
    root.put("records/probe/broken.json", b"{")
    return root


def run(root, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert main(["--store", root.url, *flags]) == 0
    return capsys.readouterr().out


def test_the_newest_result_of_every_concatenation(filled, capsys, caplog) -> None:
    assert run(filled, capsys).splitlines() == [
        "features  dim  lbfgs top-1  nearest 5-way 1-shot  nearest 5-way 5-shot",
        "--------  ---  -----------  --------------------  --------------------",
        "a           4  75.0 ± 2.0",
        "a,b         8  87.5 ± 2.0*            25.0 ± 1.0            35.0 ± 1.0",
        "",
        "* best by validation of 2 (lbfgs top-1)",
    ]
    assert "records/probe/broken.json is skipped" in caplog.text


def test_json(filled, capsys) -> None:
    rows = json.loads(run(filled, capsys, "--json"))["rows"]
    assert [(row["features"], row["setting"], row["accuracy"], row["best"]) for row in rows[:2]] == [
        ("a", "top-1", 0.75, False), ("a,b", "top-1", 0.875, True),
    ]  # fmt: skip
    assert all(len(row["records"]) == 1 for row in rows)


def test_any_grouping(filled, capsys) -> None:
    text = run(filled, capsys, "--by", "features", "--columns", "accuracy,runs,config.seed", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text.splitlines()[0] + "\n" + "\n".join(text.splitlines()[1:]))))
    assert rows[0] == {"features": "a", "accuracy": "0.75", "runs": "1", "config.seed": "0"}
    text = run(filled, capsys, "--by", "features")
    assert "lines average over different kind, setting" in text
    every = json.loads(run(filled, capsys, "--all", "--by", "features,record", "--where", "setting=top-1", "--json"))
    assert len(every["rows"]) == 3


def test_datasets_and_what_is_not_there(filled, root, capsys) -> None:
    assert "87.5" in run(filled, capsys, "--dataset", "toy,other")
    with pytest.raises(BadValue, match="no records of openmoji"):
        main(["--store", root.url, "--dataset", "openmoji"])
    with pytest.raises(BadValue, match="no result has dim=3"):
        main(["--store", root.url, "--where", "dim=3"])
    with pytest.raises(UnknownName, match="nearest: supervised"):
        main(["--store", root.url, "--layout", "supervise"])
    with pytest.raises(UnknownName, match="unknown column 'acuracy'"):
        main(["--store", root.url, "--columns", "acuracy"])


def test_no_records(root) -> None:
    with pytest.raises(BadValue, match=r"no records in .*; run: python -m probe --features"):
        main(["--store", root.url])


def test_without_matplotlib_tables_work_and_figures_say_what_to_install(filled, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert "87.5" in run(filled, capsys)
    with pytest.raises(BadValue, match=r"need matplotlib: pip install 'motherlode\[report\]'"):
        main(["--store", filled.url, "--html", str(tmp_path / "page.html")])
    assert not (tmp_path / "page.html").exists()
