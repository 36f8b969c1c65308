"""The order of CUDA's calls, on a device that only notes them; the `gpu` tests run them for real."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from extract.forward.copying import Copies

PIXELS = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 2, 2)


def test_on_other_devices_they_are_plain_copies() -> None:
    copies = Copies(torch.device("cpu"))
    assert (copies.pin, copies.stream) == (False, None)
    assert torch.equal(copies.send(PIXELS), PIXELS)
    x_BD = torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16)
    got = copies.fetch(x_BD)()
    assert (got.dtype, got.tolist()) == (np.float32, [[1.5, -2.0]])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of CUDA, in order; tensors stay on the CPU."""
    noted: list[str] = []

    class Stream:
        def __init__(self, name: object) -> None:
            self.name = name if isinstance(name, str) else "copies"

        def wait_stream(self, other: "Stream") -> None:
            noted.append(f"{self.name} waits for {other.name}")

    class Event:
        def record(self) -> None:
            noted.append("event")

        def synchronize(self) -> None:
            noted.append("wait for event")

    @contextmanager
    def inside(what: object):
        noted.append(f"in {getattr(what, 'name', 'device')}")
        yield
        noted.append("out")

    to, empty = torch.Tensor.to, torch.empty

    def moved(x: torch.Tensor, device: torch.device, *, non_blocking: bool = False) -> torch.Tensor:
        noted.append(f"to {device.type}, non_blocking={non_blocking}")
        return to(x, "cpu", copy=True)

    def made(*size: object, pin_memory: bool = False, **options: object) -> torch.Tensor:
        noted.append(f"empty, pinned={pin_memory}")
        return empty(*size, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", inside)
    monkeypatch.setattr(torch.cuda, "device", inside)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: Stream("network"))
    monkeypatch.setattr(torch.Tensor, "to", moved)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda _x, stream: noted.append(f"kept for {stream.name}"))
    monkeypatch.setattr(torch, "empty", made)
    return noted


def test_cuda_copies_on_a_stream_of_its_own_and_waits_for_one_batch(calls: list[str]) -> None:
    copies = Copies(torch.device("cuda", 0))
    assert copies.pin
    assert copies.send(PIXELS).tolist() == PIXELS.tolist()
    assert calls == [
        "in copies", "to cuda, non_blocking=True", "out", "network waits for copies", "kept for network",
    ]  # fmt: skip
    calls.clear()
    features = copies.fetch(torch.tensor([[3.0]]))
    assert calls == ["empty, pinned=True", "in device", "event", "out"], "nobody has waited yet"
    assert features().tolist() == [[3.0]]
    assert calls[-1] == "wait for event"


@pytest.mark.gpu
def test_batches_in_flight_on_cuda_are_those_of_the_cpu() -> None:
    """Many batches one behind the other, of other sizes: no memory is used again too early."""
    copies, rng = Copies(torch.device("cuda")), np.random.default_rng(0)
    weight = torch.randn(3 * 64 * 64, 256, generator=torch.Generator().manual_seed(0)) / 64
    there, waiting = weight.cuda(), []
    for i in range(200):
        batch = torch.from_numpy(rng.integers(0, 256, (64 + i % 7, 3, 64, 64), dtype=np.uint8))
        x_BD = copies.send(batch.pin_memory()).flatten(1).float() @ there
        waiting.append((batch[:2], copies.fetch(x_BD)))
        if len(waiting) > 2:
            some, features = waiting.pop(0)
            np.testing.assert_allclose(features()[:2], some.flatten(1).float() @ weight, rtol=1e-2, atol=5)
