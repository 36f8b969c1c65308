"""Networks, and `load_backbone`, the way to one by name. Importing this imports no torch."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def load_backbone(name: str, weights: str | None = None) -> "nn.Module":
    """The network of a backbone: eval mode, no gradients, (B, 3, H, W) normalised float32 -> (B, D) float32.

    Args:
        name: a row of extract/backbones.py, an alias, or `torchvision:`, `timm:`, `random:`, `module:function`.
        weights: a file; None: where `python -m extract.download` puts it.

    Raises: UnknownName, BadValue: each with the command that mends it.
    """
    from extract.loading import load

    return load(name, weights).net
