"""The values that networks of convolutions are trained from."""

from torch import nn


def he_normal(net: nn.Module) -> None:
    """Fill every convolution with N(0, 2 / fan out), as torchvision's ResNet and CloserLookFewShot's networks start."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
