"""Architectures, one row each, and `load_backbone`. The rows are data: importing this imports no torch."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ARCHITECTURES", "Architecture", "load_backbone"]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    build: str
    """`module:function` below extract.models; (B, 3, H, W) normalised -> (B, dim)."""
    dim: int
    """D, the length of a feature."""
    recipe: str = "imagenet_224"
    """What its weights expect unless a backbone says otherwise: a row of extract/recipes.py."""
    options: dict[str, Any] = field(default_factory=dict)


def _lite(size: int, recipe: str) -> Architecture:
    return Architecture(build="efficientnet:lite", dim=1280, recipe=recipe, options={"size": size})


ARCHITECTURES: dict[str, Architecture] = {
    "efficientnet_lite0": _lite(0, "lite0_224"),
    "efficientnet_lite1": _lite(1, "lite1_240"),
    "efficientnet_lite2": _lite(2, "lite2_260"),
    "pixels": Architecture(build="pixels:flatten", dim=768, recipe="pixels_16"),
    **{
        f"resnet{depth}": Architecture(build="resnet:resnet", dim=512, options={"block": "basic", "layers": layers})
        for depth, layers in ((10, (1, 1, 1, 1)), (18, (2, 2, 2, 2)), (34, (3, 4, 6, 3)))
    },
    **{
        f"resnet50{suffix}": Architecture(build="resnet:resnet", dim=2048 * width, options={"width": width})
        for suffix, width in (("", 1), ("w2", 2), ("w4", 4), ("w5", 5))
    },
    "resnet152": Architecture(build="resnet:resnet", dim=2048, options={"layers": (3, 8, 36, 3)}),
}


def load_backbone(name: str, weights: str | None = None) -> "nn.Module":
    """The network of a backbone: eval mode, no gradients, (B, 3, H, W) normalised float32 -> (B, D) float32.

    Args:
        name: a row of extract/backbones.py, an alias, or `torchvision:`, `timm:`, `random:`, `module:function`.
        weights: a file; None: where `python -m extract.download` puts it.

    Raises: UnknownName, BadValue: each with the command that mends it.
    """
    from extract.loading import load

    return load(name, weights).net
