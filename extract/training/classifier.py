"""A network under its heads: what is trained."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class CosineHead(nn.Module):
    """scale * g_c <x / |x|, v_c / |v_c|>: (B, D) -> (B, C), no bias.

    Source: CloserLookFewShot backbone.py, distLinear.
    """

    def __init__(self, dim: int, num_classes: int, scale: float | None = None) -> None:
        super().__init__()
        self.scale = scale or (2.0 if num_classes <= 200 else 10.0)
        self.v_CD = nn.Parameter(nn.Linear(dim, num_classes, bias=False).weight.detach())
        self.g_C1 = nn.Parameter(torch.linalg.vector_norm(self.v_CD.detach(), dim=1, keepdim=True))

    def plain(self) -> Tensor:
        """(C, D): logits are x / |x| times its transpose."""
        weight: Tensor = self.scale * torch._weight_norm(self.v_CD, self.g_C1, 0)  # noqa: SLF001
        return weight

    def forward(self, x_BD: Tensor) -> Tensor:
        unit_BD = x_BD / (torch.linalg.vector_norm(x_BD, dim=1, keepdim=True) + 1e-5)
        return linear(unit_BD, self.plain())


def make_head(kind: str, dim: int, num_classes: int, scale: float | None = None) -> nn.Module:
    """`linear` with torch's start and bias 0, or `cosine`."""
    if kind == "cosine":
        return CosineHead(dim, num_classes, scale)
    head = nn.Linear(dim, num_classes)
    nn.init.zeros_(head.bias)
    return head


class Classifier(nn.Module):
    """(B, 3, H, W) normalised -> the outputs of every head, (B, C) each."""

    def __init__(self, trunk: nn.Module, heads: list[nn.Module]) -> None:
        super().__init__()
        self.trunk, self.heads = trunk, nn.ModuleList(heads)

    def forward(self, x_B3HW: Tensor) -> list[Tensor]:
        x_BD = self.trunk(x_B3HW)
        return [head(x_BD) for head in self.heads]


def one_head(heads: nn.ModuleList, values: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The heads averaged into one (RFC run_expt_synthesis_convert_model.py): weight (C, D) and, if linear, bias (C,).

    Args:
        values: the parameters of `heads` by name, as they are to be taken.
    Returns: None: the heads are for different classes, or there are none.
    """
    if not heads:
        return None
    weights = []
    for i, head in enumerate(heads):
        if isinstance(head, CosineHead):
            unit = torch._weight_norm(values[f"{i}.v_CD"], values[f"{i}.g_C1"], 0)  # noqa: SLF001
            weights.append(head.scale * unit)
        else:
            weights.append(values[f"{i}.weight"])
    if len({weight.shape for weight in weights}) > 1:
        return None
    found = {"weight": torch.stack(weights).mean(0)}
    if "0.bias" in values:
        found["bias"] = torch.stack([values[f"{i}.bias"] for i in range(len(heads))]).mean(0)
    return found
