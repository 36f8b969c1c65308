"""Raw pixels: the baseline that belongs in every table."""

from torch import nn


def flatten() -> nn.Module:
    """(B, 3, H, W) -> (B, 3 * H * W), channel first."""
    return nn.Flatten()
