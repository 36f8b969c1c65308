import threading

import pytest
import torch

from probe.solvers import Settings, parts, solve


@pytest.mark.parametrize(
    ("members", "threads", "count"), [(6, 1, 1), (1, 8, 1), (6, 2, 2), (6, 4, 2), (6, 6, 6), (5, 4, 1), (6, 64, 2)]
)
def test_the_largest_part_ends_soonest(members, threads, count) -> None:
    assert parts.num_parts(members, threads) == count


def test_every_part_sees_every_batch_in_order_on_a_thread_of_its_own() -> None:
    seen: dict[str, list] = {"a": [], "b": [], "c": []}
    threads = torch.get_num_threads()
    parts.train(lambda part, batch: seen[part].append((batch, threading.get_ident())), list(seen), iter(range(20)))
    assert all([batch for batch, _ in found] == list(range(20)) for found in seen.values())
    assert len({thread for found in seen.values() for _, thread in found}) == 3
    assert torch.get_num_threads() == threads


def test_an_error_on_either_side_ends_the_run_and_hangs_nothing() -> None:
    def step(part: str, batch: int) -> None:
        if (part, batch) == ("b", 3):
            raise ArithmeticError(batch)

    def broken():
        yield from range(5)
        raise OSError("disk")

    with pytest.raises(ArithmeticError):
        parts.train(step, ["a", "b"], range(50))
    with pytest.raises(OSError, match="disk"):
        parts.train(lambda part, batch: None, ["a", "b"], broken())


@pytest.mark.parametrize("solver", ["sgd", "cosine"])
def test_a_grid_in_parts_is_the_grid_in_one(made, data_of, monkeypatch, solver) -> None:
    data = data_of(*made(150, 9, 4))
    grid = Settings(weight_decay=(1e-3, 1e-1), lr=(0.05,), seeds=(5, 6), epochs=4, batch=32)
    monkeypatch.setattr(parts, "num_parts", lambda *_: 1)
    one = solve(solver, data, grid)
    monkeypatch.setattr(parts, "num_parts", lambda *_: 3)
    three = solve(solver, data, grid)
    for a, b in zip(one, three, strict=True):
        assert (a.weight_decay, a.extra) == (b.weight_decay, b.extra)
        assert torch.allclose(a.head.weight, b.head.weight, atol=1e-6)
        assert a.certificate == pytest.approx(b.certificate)
