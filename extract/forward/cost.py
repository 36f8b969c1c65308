"""What a backbone costs, measured from the network itself: for the manifest, where probe and report find it."""

import logging

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

log = logging.getLogger("extract")


def count_parameters(net: nn.Module) -> int:
    """Without the head, which a backbone does not have. Before batch normalisation is folded."""
    return sum(parameter.numel() for parameter in net.parameters())


def count_flops(net: nn.Module, size: tuple[int, int]) -> int | None:
    """Floating-point operations of one image of (height, width) pixels: 2 for each multiplication with addition.

    Convolutions, products and attention are counted, by a pass over the meta device that computes nothing. None: this
    network cannot be run there.
    """
    state = {name: value.to("meta") for name, value in (*net.named_parameters(), *net.named_buffers())}
    try:
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            functional_call(net, state, torch.empty((1, 3, *size), device="meta"))
    except Exception as error:  # noqa: BLE001 - whatever someone's forward does without values
        log.debug("operations are not counted: %s", error)
        return None
    flops: int = counter.get_total_flops()
    return flops
