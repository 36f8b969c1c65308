"""Optimizers and averages of weights."""

import torch
from torch import Tensor, nn

from extract.training.recipes import TrainingRecipe

NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)  # noqa: SLF001


def make_optimizer(net: nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """Parameters of norms are known by their modules, not by the letters `bn` in their names."""
    norms = {id(p) for module in net.modules() if isinstance(module, NORMS) for p in module.parameters()}
    trained = [p for p in net.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) not in norms], "weight_decay": recipe.weight_decay},
        {
            "params": [p for p in trained if id(p) in norms],
            "weight_decay": recipe.weight_decay if recipe.decay_norms else 0.0,
        },
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(p.device.type in ("cpu", "cuda") for p in trained)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.lr, fused=fused)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=fused)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


@torch.no_grad()
def average_into(average: dict[str, Tensor], net: nn.Module, decay: float) -> None:
    """Exponential moving average of every float value of the network; counts are copied."""
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)
