"""The table of costs is what the networks have; every architecture is built on the meta device, in no time."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from extract.backbones import find_backbone
from extract.images.transforms import input_size
from extract.loading import build
from extract.models.architectures import ARCHITECTURES
from extract.models.costs import COSTS


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_parameters_multiplications_and_dim(arch: str):
    built = build(find_backbone(f"random:{arch}"), given=False)
    size = input_size(built.recipe)
    assert size is not None
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        shape = built.net.eval()(torch.empty(1, 3, *size, device="meta")).shape
    assert shape == (1, ARCHITECTURES[arch].dim)
    assert sum(parameter.numel() for parameter in built.net.parameters()) == COSTS[arch].params
    assert counter.get_total_flops() / 2e9 == pytest.approx(COSTS[arch].gmacs, abs=0.005)


def test_every_architecture_has_its_costs():
    assert COSTS.keys() == ARCHITECTURES.keys()
