import json
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


def flips(text: bytes) -> list[bytes]:
    """Every text with the lowest bit of one byte turned over."""
    return [text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :] for at in range(len(text))]


def test_no_flipped_bit_makes_another_record(root, caplog) -> None:
    metrics = {"top1": 0.857, "nll": float("nan"), "per_class": [0.5, 1.0], "features": "a,b"}
    record = write_record(root, Record(kind="probe", config={"seed": 10}, metrics=metrics))
    text, (before,) = root.get(record.key), map(repr, read_records(root, "probe"))
    reasons = set()
    for other in flips(text):
        root.put(record.key, other)
        caplog.clear()
        read = list(map(repr, read_records(root, "probe")))
        assert read == [before] if read else f"{record.key} is skipped" in caplog.text, other
        reasons |= {message.split(": ")[1] for message in caplog.messages}
    assert "it was changed after it was written. Restore it, or remove it and run its command again" in reasons


def test_a_record_in_the_place_of_another_is_skipped(root, caplog) -> None:
    one, other = (write_record(root, Record(kind="probe", config={"seed": seed})) for seed in (0, 1))
    root.put(one.key, root.get(other.key))
    assert [record.id for record in read_records(root, "probe")] == [other.id]
    assert f"{one.key} is skipped: it is that of {other.key}, which cannot be renamed or copied" in caplog.text
    assert "Restore it, or remove it and run its command again" in caplog.text


def test_a_folder_in_the_place_of_a_record_is_skipped_aloud(root, caplog) -> None:
    root.put("records/probe/20260101T000000Z-00000000.json/x", b"")
    assert list(read_records(root, "probe")) == []
    assert "20260101T000000Z-00000000.json is skipped: a folder" in caplog.text


def test_records_of_earlier_versions_are_read_and_told_once(root, caplog) -> None:
    old, unchecked = [], []
    for seed in range(3):
        record = write_record(root, Record(kind="probe", config={"seed": seed}))
        values = json.loads(root.get(record.key))
        del values["sha256"]
        root.put(record.key, json.dumps(values).encode())
        old.append(record.key)
    write_record(root, Record(kind="probe", config={"seed": 3}))
    assert {record.config["seed"] for record in read_records(root, "probe")} == set(range(4))
    (said,) = caplog.messages
    assert "3 records" in said
    assert "kept no hash of them: they are read unchecked" in said
    assert len(list(read_records(root, "probe", [], unchecked))) == 4
    assert unchecked == sorted(old)
    assert len(caplog.messages) == 1
