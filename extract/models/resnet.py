"""ResNets, on torchvision's own modules: https://arxiv.org/abs/1512.03385."""

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from extract.models.start import he_normal

BLOCKS: dict[str, type[BasicBlock | Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


def resnet(block: str = "bottleneck", layers: tuple[int, ...] = (3, 4, 6, 3), width: float = 1) -> nn.Module:
    """A ResNet without its head; `width` multiplies the stem and the planes of every stage.

    torchvision's `width_per_group` widens the inner convolutions alone, which is another network: SWAV's "w2" has a
    stem of 128 and 4096 features (facebookresearch/swav, src/resnet50.py).
    """
    net: ResNet = ResNet(BLOCKS[block], list(layers))
    net.fc = nn.Identity()
    if width != 1:
        net.inplanes = int(64 * width)
        net.conv1 = nn.Conv2d(3, net.inplanes, kernel_size=7, stride=2, padding=3, bias=False)
        net.bn1 = nn.BatchNorm2d(net.inplanes)
        for stage, blocks in enumerate(layers):
            planes, stride = int(64 * width) * 2**stage, min(stage + 1, 2)
            setattr(net, f"layer{stage + 1}", net._make_layer(BLOCKS[block], planes, blocks, stride))  # noqa: SLF001
        he_normal(net)
    built: nn.Module = net
    return built
