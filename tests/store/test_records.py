import logging

import numpy as np
import pytest

from store.errors import BadValue
from store.records import Record, read_records, write_record


def test_a_record_comes_back(root) -> None:
    metrics = {"top1": np.float32(0.5), "per_class": np.arange(3), "n": np.int64(7)}
    written = write_record(root, Record(kind="probe", config={"seed": 0}, metrics=metrics, seconds={"fit": 1.5}))
    (read,) = read_records(root, "probe")
    assert read.metrics == {"top1": 0.5, "per_class": [0, 1, 2], "n": 7}
    assert (read.id, read.created, read.versions, read.config) == (
        written.id, written.created, written.versions, {"seed": 0},
    )  # fmt: skip
    assert "numpy" in read.versions


def test_records_come_oldest_first_and_by_kind(root) -> None:
    for created in ("20260102T000000Z", "20260101T000000Z"):
        write_record(root, Record(kind="probe", config={}, created=created))
    write_record(root, Record(kind="fewshot", config={}))
    assert [record.created for record in read_records(root, "probe")] == ["20260101T000000Z", "20260102T000000Z"]
    assert list(read_records(root, "other")) == []


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"kind": "probe"}'])
def test_what_is_no_record_is_skipped_aloud(root, caplog, text) -> None:
    write_record(root, Record(kind="probe", config={}))
    root.put("records/probe/0.json", text)
    with caplog.at_level(logging.WARNING):
        assert len(list(read_records(root, "probe"))) == 1
    assert "records/probe/0.json is skipped: not a record" in caplog.text


def test_kinds_stay_in_their_folder(root) -> None:
    with pytest.raises(BadValue, match=r"record kind name '../x' cannot be stored"):
        write_record(root, Record(kind="../x", config={}))
    with pytest.raises(TypeError, match="set does not belong in a record"):
        write_record(root, Record(kind="probe", config={"a": {1}}))
    assert not root.folder.exists()
