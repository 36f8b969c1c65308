import torch

from extract.forward.network import Network
from extract.forward.packing import free_memory, in_packs, memory_needed
from extract.loading import load

CPU = torch.device("cpu")


def networks(*names: str) -> list[tuple[Network, list[str]]]:
    return [(Network(lambda name=name: load(name), CPU, "fp32"), [name]) for name in names]  # type: ignore[misc]


def test_memory_is_that_of_weights_and_of_two_blocks_a_view() -> None:
    ((net, _),) = networks("random:conv4")
    weights = sum(value.numel() * value.element_size() for value in net.loaded.net.state_dict().values())
    assert memory_needed(net, views=3, block_rows=10) == weights + 3 * 2 * 10 * 1600 * 4


def test_as_many_as_fit_in_order(monkeypatch) -> None:
    nets = networks("pixels", "random:conv4", "random:conv6", "random:conv4")
    needs = [memory_needed(net, 1, 16) for net, _ in nets]

    def sizes(room: float) -> list[int]:
        monkeypatch.setattr("extract.forward.packing.free_memory", lambda device: 2 * room)
        packs = in_packs(nets, 1, 16)
        assert [one for pack in packs for one in pack] == nets
        return [len(pack) for pack in packs]

    assert sizes(sum(needs)) == [4]
    assert sizes(sum(needs) - 1) == [3, 1]
    assert sizes(sum(needs[:2])) == [2, 1, 1]
    assert sizes(0) == [1, 1, 1, 1], "what does not fit at all is tried alone"


def test_free_memory_is_a_plausible_number() -> None:
    assert 1e7 < free_memory(CPU) < 1e15
