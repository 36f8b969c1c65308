import pytest
import torch
from torch import nn

from extract.forward.cost import count_flops, count_parameters
from extract.loading import load
from extract.models.costs import COSTS


class Awkward(nn.Module):
    """Looks at its values, which are not there on the meta device."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) * x.max().item()


@pytest.mark.parametrize("arch", ["resnet10", "efficientnet_lite0"])
def test_the_loaded_network_is_counted_as_the_table_has_it(arch: str) -> None:
    net = load(f"random:{arch}").net
    flops = count_flops(net, (224, 224))
    assert flops is not None
    assert flops / 2e9 == pytest.approx(COSTS[arch].gmacs, abs=0.005)
    assert count_parameters(net) == COSTS[arch].params
    assert net(torch.zeros(1, 3, 224, 224)).shape[0] == 1, "counting leaves the network as it was"


def test_what_cannot_be_told_is_left_out() -> None:
    assert count_flops(Awkward(), (8, 8)) is None
