"""The small convolutional networks of few-shot work: wyharveychen/CloserLookFewShot, backbone.py."""

from torch import nn


def conv(blocks: int) -> nn.Module:
    """Blocks of 64 filters, each but those from the fifth on halving the image: 1600 features at 84 px."""

    def block(index: int) -> nn.Module:
        pool = [nn.MaxPool2d(2)] if index < 4 else []
        return nn.Sequential(
            nn.Conv2d(3 if index == 0 else 64, 64, kernel_size=3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), *pool
        )

    return nn.Sequential(*(block(index) for index in range(blocks)), nn.Flatten())
