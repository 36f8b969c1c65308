"""What a backbone costs, measured from the network itself: for the manifest, where probe and report find it."""

import logging

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from extract.forward.known import all_known

log = logging.getLogger("extract")


def count_parameters(net: nn.Module) -> int:
    """Without the head, which a backbone does not have. Before batch normalisation is folded."""
    return sum(parameter.numel() for parameter in net.parameters())


def count_flops(net: nn.Module, size: tuple[int, int]) -> int | None:
    """Floating-point operations of one image of (height, width) pixels: 2 for each multiplication with addition.

    Convolutions, products and attention are counted, by a pass over the meta device that computes nothing, or by a
    real one where the code is not known. None: this network cannot be run there, or it does nothing that is counted.
    """
    size_1CHW = (1, 3, *size)
    try:
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            if all_known(net):
                state = {name: value.to("meta") for name, value in (*net.named_parameters(), *net.named_buffers())}
                functional_call(net, state, torch.empty(size_1CHW, device="meta"))
            else:
                net(torch.zeros(size_1CHW, device=next((value.device for value in net.parameters()), None)))
    except Exception as error:  # noqa: BLE001 - whatever someone's forward does without values
        log.debug("operations are not counted: %s", error)
        return None
    flops: int = counter.get_total_flops()
    return flops if flops or all_known(net) else None
