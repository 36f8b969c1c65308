"""The small convolutional networks of few-shot work: wyharveychen/CloserLookFewShot, backbone.py."""

from torch import nn

from extract.models.start import he_normal


def conv(blocks: int, width: float = 1) -> nn.Module:
    """Blocks of 64 filters, each but those from the fifth on halving the image: 1600 features at 84 px."""
    filters = int(64 * width)

    def block(index: int) -> nn.Module:
        pool = [nn.MaxPool2d(2)] if index < 4 else []
        before = 3 if index == 0 else filters
        conv = nn.Conv2d(before, filters, kernel_size=3, padding=1)
        return nn.Sequential(conv, nn.BatchNorm2d(filters), nn.ReLU(), *pool)

    net = nn.Sequential(*(block(index) for index in range(blocks)), nn.Flatten())
    he_normal(net)
    return net
