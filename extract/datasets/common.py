"""What a dataset reader returns: the samples of one split and their images."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from store.samples import Samples

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Images:
    samples: Samples
    read: Callable[[int], "bytes | np.ndarray"]
    """Sample row -> the bytes of its file, or the picture itself, (H, W, 3) uint8 RGB."""


def hashed_split(sample: str) -> str:
    """train, val or test (60, 20, 20 %) by the sample's own name: fixed, and other samples change nothing."""
    bucket = int.from_bytes(hashlib.sha256(sample.encode()).digest()[:4], "big") % 10
    return SPLITS[0 if bucket < 6 else 1 if bucket < 8 else 2]


def array_images(samples: Samples, pictures: Sequence[np.ndarray]) -> Images:
    """Images that a package holds in memory."""
    return Images(samples, lambda row: pictures[row])
