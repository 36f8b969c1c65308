import json

import numpy as np
import pytest

from store import doctor
from store.cli import main
from store.records import Record, write_record
from store.root import open_root


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "TRIAL_BYTES", 1 << 16)


def states(url: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict]]:
    code = main(["doctor", "--store", url, "--json"])
    return code, {check["what"]: check for check in json.loads(capsys.readouterr().out)}


def test_a_sound_store(root, make_set, capsys) -> None:
    make_set(np.ones((3, 2)), {"label": np.arange(3)})
    write_record(root, Record(kind="probe", config={}))
    code, found = states(root.url, capsys)
    assert code == 0
    assert found["feature sets"]["told"].startswith("1 committed")
    assert found["records"]["told"] == "1 probe"
    assert "numpy" in found["versions"]["told"]
    assert "MB/s" in found["disk"]["told"]
    assert root.list("doctor") == {}
    assert main(["doctor", "--store", root.url]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("versions")


def test_records_that_are_older_or_changed_are_told(root, capsys) -> None:
    old, changed = (write_record(root, Record(kind="probe", config={}, metrics={"top1": 0.5})) for _ in range(2))
    values = json.loads(root.get(old.key))
    del values["sha256"]
    root.put(old.key, json.dumps(values).encode())
    root.put(changed.key, root.get(changed.key).replace(b"0.5", b"0.9"))
    told = states(root.url, capsys)[1]["records"]["told"]
    assert "1 of an earlier version carry no hash: unchecked" in told
    assert f"skipped: {changed.key} (it was changed after it was written)" in told


def test_nothing_stored_yet_leaves_nothing_behind(tmp_path, capsys) -> None:
    code, found = states(str(tmp_path / "none"), capsys)
    assert code == 0
    assert found["feature sets"]["state"] == "note"
    assert "python -m extract" in found["feature sets"]["told"]
    assert not (tmp_path / "none").exists()


def test_what_is_damaged_is_named_and_exits_1(root, make_set, capsys) -> None:
    part = make_set(np.ones((3, 2)), {"label": np.arange(3)})
    root.put(f"{part.folder}/manifest.json", b"{")
    root.put("records/probe/broken.json", b"{")
    code, found = states(root.url, capsys)
    assert code == 1
    assert found["feature sets"]["state"] == "BAD"
    assert "toy/train/a@" in found["feature sets"]["told"]
    assert "verify --repair" in found["feature sets"]["told"]
    assert found["records"]["state"] == "note"
    assert "records/probe/broken.json" in found["records"]["told"]


def test_a_store_that_cannot_be_written_is_told_not_raised(tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("in the way")
    code, found = states(str(tmp_path / "file" / "store"), capsys)
    assert code == 1
    assert "a file is in the way" in found["disk"]["told"]


def test_an_object_store(s3_root, capsys) -> None:
    code, found = states(s3_root.url, capsys)
    assert code == 0
    assert "GB free" not in found["disk"]["told"]
    assert open_root(s3_root.url).list("doctor") == {}
