"""Extraction into object storage: a server that goes away in the middle loses nothing."""

from datetime import timedelta

import numpy as np
import pytest

from store import open_features, s3
from store.cli import main
from store.errors import BadValue, RootError
from store.features import FeatureSet
from store.inventory import being_written
from store.root import open_root
from tests.store import crash_run


@pytest.fixture
def impatient(monkeypatch) -> None:
    soon = timedelta(seconds=0.05)
    backoff = {"init_backoff": soon, "max_backoff": soon, "base": 2.0}
    monkeypatch.setattr(s3, "RETRY", {"max_retries": 2, "backoff": backoff, "retry_timeout": timedelta(seconds=2)})
    monkeypatch.setattr(s3, "WAIT_SECONDS", 0.0)


def test_the_server_dies_and_comes_back(s3_server, impatient, s3_root, capsys) -> None:
    url, features = s3_root.url, crash_run.features()
    writer = crash_run.open_writer(url)

    def write(blocks) -> None:
        for block in blocks:
            rows = writer.rows(block)
            hashes = np.random.default_rng(block).integers(0, 256, (len(rows), 16), dtype=np.uint8)
            writer.write(block, features[rows.start : rows.stop], hashes)

    write([0, 1, 2])
    s3_server.stop()
    with pytest.raises(RootError, match=r"store s3://bucket/.*: cannot .* run the same command again when the store"):
        write([3])
    with pytest.raises(RootError, match="What was committed is untouched"):
        writer.missing()
    with pytest.raises(RootError):
        writer.commit({})
    s3_server.start()
    assert len(crash_run.write(url)) == len(range(writer.num_blocks)) - 3
    x = open_features(url, "toy", "train", "a")
    assert np.array_equal(x.read(), features.astype(np.float16))
    assert x.samples.ids[17] == "17.png"
    rows = np.array([5, 500, 64])
    assert np.array_equal(x.read(rows), features.astype(np.float16)[rows])
    assert main(["verify", "--store", url]) == 0
    assert capsys.readouterr().out == "1 sets, 10 blocks: all as written\n"


def test_commands_on_s3(s3_root, capsys) -> None:
    crash_run.write(s3_root.url)
    assert main(["ls", "--store", s3_root.url]) == 0
    assert "committed" in capsys.readouterr().out
    assert main(["rm", "a", "--yes", "--store", s3_root.url]) == 0
    assert s3_root.list("features") == {}
    assert s3_root.list("samples") == {"toy": None}


def test_a_growing_set_counts_as_being_written(s3_root, monkeypatch) -> None:
    """There are no locks: what grew a short while ago is left alone."""
    writer = crash_run.open_writer(s3_root.url)
    writer.write(0, crash_run.features()[:64], np.zeros((64, 16), np.uint8))
    folder = writer.folder
    assert being_written(s3_root, folder)
    with pytest.raises(BadValue, match="is being written"):
        main(["rm", "a", "--yes", "--store", s3_root.url])
    begun = s3_root.times(folder)["started.json"]
    for times, now, writing in (
        ([0], 599, True), ([0], 601, False), ([0, 1000, 2000, 3000], 5900, True), ([0, 1000, 2000, 3000], 6100, False),
    ):  # fmt: skip
        monkeypatch.setattr("store.inventory.written", lambda root, folder, t=times: [begun + s for s in t])
        monkeypatch.setattr("store.inventory.time.time", lambda now=now: begun + now)
        assert being_written(s3_root, folder) is writing


def test_hdf5_blocks_lie_on_s3_too(s3_root) -> None:
    crash_run.write(s3_root.url, backend="hdf5")
    stored = FeatureSet(s3_root, crash_run.open_writer(s3_root.url).folder)
    assert np.array_equal(stored.read(slice(100, 300)), crash_run.features()[100:300].astype(np.float16))


def test_no_such_bucket(s3_server, impatient) -> None:
    root = open_root("s3://nowhere/features")
    with pytest.raises(RootError, match=r"store s3://nowhere/features: cannot write a"):
        root.put("a", b"")


def test_a_server_that_is_away_is_waited_for(s3_server, impatient, s3_root, monkeypatch) -> None:
    monkeypatch.setattr(s3, "WAIT_SECONDS", 30.0)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            s3_server.start()

    root = open_root(s3_root.url)
    root.put("a/one", b"1")
    monkeypatch.setattr(s3.time, "sleep", pause)
    s3_server.stop()
    try:
        assert root.put_new("a/two", b"2")
    finally:
        if len(pauses) < 3:
            s3_server.start()
    assert len(pauses) == 3
    assert root.get("a/two") == b"2"


def test_an_answer_that_breaks_off_is_asked_for_again(s3_root, monkeypatch) -> None:
    monkeypatch.setattr(s3, "PAUSE_SECONDS", 0.0)
    asked: list[int] = []

    def ask() -> bytes:
        asked.append(1)
        if len(asked) < 3:
            raise OSError("Error getting list response body: HTTP error: request or response body error")
        return b"whole"

    assert s3_root._ask("read a", ask) == b"whole"
    with pytest.raises(RootError, match="cannot read a: Forbidden"):
        s3_root._ask("read a", lambda: (_ for _ in ()).throw(OSError("Forbidden")))


@pytest.mark.parametrize("url", ["s3://b kt/x", "s3://[/x", "s3://bucket/a//b", "s3:/bkt/x", "s3:///", "S3://bkt/x",
                                 "gs://b/x", "http://h/x", "file:///tmp/x", "gs:/b"])  # fmt: skip
def test_an_address_that_is_none(url) -> None:
    with pytest.raises(BadValue, match="s3://"):
        open_root(url)
