import threading

import numpy as np
import pytest

from store import open_features
from store.batches import sequential, shuffled
from store.errors import DamagedFeatures

A = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
B = np.random.default_rng(1).normal(size=(300, 2)).astype(np.float32)
LABELS = {"label": np.arange(300) % 3}


@pytest.fixture
def x(root, make_set, monkeypatch):
    monkeypatch.setattr("store.concat.STRIDE_ROWS", 64)
    make_set(A, LABELS, backbone="a", block_rows=64, bad_rows={70: "bad"})
    make_set(B, LABELS, backbone="b", block_rows=64)
    return open_features(root, "toy", "train", "a,b")


WANT = np.delete(np.hstack([A, B]), 70, axis=0)


@pytest.mark.parametrize("rows", [None, 1, 64, 100, 299, 1000])
def test_sequential_batches_are_the_whole_in_order(x, rows) -> None:
    spans, batches = zip(*sequential(x, rows), strict=True)
    assert np.array_equal(np.concatenate(batches), WANT)
    assert [row for span in spans for row in range(span.start, span.stop)] == list(range(299))
    assert max(map(len, batches)) == min(rows or 8, 299)


def test_batches_in_another_dtype(x) -> None:
    batches = [batch for _, batch in sequential(x, 50, dtype="float16")]
    assert batches[0].dtype == np.float16
    assert np.array_equal(np.concatenate(batches), WANT.astype(np.float16))


@pytest.mark.parametrize("rows", [1, 7, 128, 299, 1000])
@pytest.mark.parametrize("strides", [1, 4])
def test_shuffled_batches_hold_every_row_once(x, rows, strides) -> None:
    numbers, batches = zip(*shuffled(x, rows, seed=3, strides=strides), strict=True)
    assert {len(batch) for batch in batches[:-1]} <= {rows}
    assert sorted(np.concatenate(numbers).tolist()) == list(range(299))
    for number, batch in zip(numbers, batches, strict=True):
        assert np.array_equal(batch, WANT[number])


def test_the_order_is_that_of_seed_and_epoch(x) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate([rows for rows, _ in shuffled(x, 10, seed=seed, epoch=epoch)]).tolist()

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(*key)) for key in ((0, 0), (0, 1), (1, 0))}) == 3
    assert order(0, 0) != sorted(order(0, 0))


def test_rows_are_mixed_across_the_blocks_of_a_group(x) -> None:
    first = next(iter(shuffled(x, 64, seed=0, strides=4)))[0]
    assert len(set((first // 64).tolist())) >= 3


def threads() -> int:
    return sum(thread.name == "store-read-ahead" for thread in threading.enumerate())


def test_a_pass_that_is_left_leaves_no_thread(x) -> None:
    for _ in sequential(x, 10):
        break
    batches = sequential(x, 10)
    next(batches)
    assert threads() == 1
    batches.close()
    assert threads() == 0


def test_an_error_of_the_thread_reaches_the_caller(x) -> None:
    part = x.parts[1]
    part.root.remove(part.blocks.key(2))
    with pytest.raises(DamagedFeatures, match="rows 128 to 191 are lost"):
        list(sequential(x, 64))
    assert threads() == 0


def test_two_batches_are_read_ahead_at_most(x, monkeypatch) -> None:
    reads: list[slice] = []
    read = x.read
    monkeypatch.setattr(type(x), "read", lambda self, rows, out: reads.append(rows) or read(rows, out))
    for i, _ in enumerate(sequential(x, 10)):
        assert len(reads) <= i + 2
