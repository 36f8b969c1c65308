"""Networks side by side."""

import importlib
from typing import Any

import torch
from torch import Tensor, nn


class SideBySide(nn.Module):
    """Networks under one head; their features, in order, are one feature."""

    def __init__(self, nets: list[nn.Module]) -> None:
        super().__init__()
        self.count = len(nets)
        for index, net in enumerate(nets):  # upstream's names: model0, model1, ...
            self.add_module(f"model{index}", net)

    def forward(self, x_B3HW: Tensor) -> Tensor:
        return torch.cat([self.get_submodule(f"model{index}")(x_B3HW) for index in range(self.count)], dim=1)


def joint(count: int, build: str, **options: Any) -> nn.Module:
    """`count` networks of one kind, each with a start of its own; `build` is `module:function` below extract.models."""
    module, _, function = build.partition(":")
    make = getattr(importlib.import_module(f"extract.models.{module}"), function)
    return SideBySide([make(**options) for _ in range(count)])
