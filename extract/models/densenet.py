"""DenseNet121, as WILDS trains it on Camelyon17, on torchvision's own modules: https://arxiv.org/abs/1608.06993."""

from torch import nn
from torchvision.models import densenet121


def densenet() -> nn.Module:
    net: nn.Module = densenet121(weights=None)
    net.classifier = nn.Identity()
    return net
