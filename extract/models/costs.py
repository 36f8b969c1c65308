"""What an architecture costs: data, recomputed from the networks by a test."""

from typing import NamedTuple


class Cost(NamedTuple):
    params: int
    """Parameters without the head."""
    gmacs: float
    """10^9 multiplications with addition per image, at the size of the architecture's own recipe."""


COSTS: dict[str, Cost] = {
    "resnet10": Cost(4_905_792, 0.89),
    "resnet18": Cost(11_176_512, 1.81),
    "resnet34": Cost(21_284_672, 3.66),
    "resnet50": Cost(23_508_032, 4.09),
    "resnet50w2": Cost(93_907_072, 16.11),
    "resnet50w4": Cost(375_378_176, 63.98),
    "resnet50w5": Cost(586_450_240, 99.82),
    "resnet152": Cost(58_143_808, 11.51),
    "2resnet50": Cost(47_016_064, 8.17),
    "4resnet50": Cost(94_032_128, 16.35),
    "regnety_32gf": Cost(141_333_770, 32.28),
    "regnety_64gf": Cost(276_457_786, 64.07),
    "regnety_128gf": Cost(637_419_894, 127.51),
    "regnety_256gf": Cost(1_272_156_138, 254.37),
    "vit_b16_224": Cost(85_798_656, 17.56),
    "vit_b16_384": Cost(86_090_496, 55.48),
    "vit_l16_224": Cost(303_301_632, 61.55),
    "vit_l16_384": Cost(303_690_752, 191.07),
    "densenet121": Cost(6_953_856, 0.52),
    "conv4": Cost(113_088, 0.10),
    "conv6": Cost(187_200, 0.10),
    "efficientnet_lite0": Cost(3_371_008, 0.38),
    "efficientnet_lite1": Cost(4_135_680, 0.60),
    "efficientnet_lite2": Cost(4_811_072, 0.86),
    "pixels": Cost(0, 0.00),
}
