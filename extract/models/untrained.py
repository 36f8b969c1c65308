"""Values for a network that was never trained, the same on every machine and with every version of torch."""

import math
import zlib

import numpy as np
import torch
from torch import nn
from torchvision.models.regnet import ResBottleneckBlock
from torchvision.models.resnet import Bottleneck

RESIDUAL_GAIN = 0.2
"""Of the last norm of a residual branch: in eval mode an untrained BatchNorm does not normalise, and 50 blocks that
double the variance would leave float16's range."""


def fill_untrained(net: nn.Module, seed: int = 0) -> None:
    """Fill a network on the meta device: weights uniform with the variance of He's initialisation, each drawn from
    its own name by a counter-based generator; norms 1, biases 0.
    """
    values = {key: _value(key, tensor, seed) for key, tensor in net.state_dict().items()}
    for name, module in net.named_modules():
        if isinstance(module, Bottleneck):
            values[f"{name}.bn3.weight"].fill_(RESIDUAL_GAIN)
        elif isinstance(module, ResBottleneckBlock):
            values[f"{name}.f.c.1.weight"].fill_(RESIDUAL_GAIN)
    net.load_state_dict(values, assign=True)


def _value(key: str, like: torch.Tensor, seed: int) -> torch.Tensor:
    if like.ndim < 2:
        ones = key.endswith(("weight", "running_var"))
        return torch.full(like.shape, float(ones)).to(like.dtype)
    rng = np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(key.encode())]))
    bound = math.sqrt(6 / math.prod(like.shape[1:]))
    return torch.from_numpy(
        ((2 * rng.random(tuple(like.shape), dtype=np.float32) - 1) * np.float32(bound)).astype(np.float32)
    )
