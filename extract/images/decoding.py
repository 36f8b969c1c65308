"""From a sample to a network's input pixels: decode once, resize on uint8, read ahead of the network."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch

from extract.datasets.common import Images
from extract.images.depths import to_rgb
from extract.images.opening import load, open_picture
from extract.images.recipes import Recipe
from extract.images.transforms import make_pixels
from store.errors import BadImage
from store.writer import content_hash

LARGE = 1 << 26
"""Pixels from which on a picture is decoded alone: threads that each hold one would fill the memory."""
_alone = Lock()


@dataclass(frozen=True)
class Decoded:
    row: int
    content: bytes
    """Hash of the image's bytes."""
    pixels: dict[Recipe, torch.Tensor]
    """Recipe -> (3, H, W) uint8."""
    bad: str = ""
    """Why the image could not be read; `pixels` is empty then."""
    stored: bool = False
    """Whether features of these bytes are stored, so that nothing was decoded; `pixels` is empty then."""


def decode(data: bytes | np.ndarray) -> torch.Tensor:
    """An image file's bytes, or a picture (H, W, 3) uint8, as an RGB tensor (3, H, W) uint8, channels last in memory.

    Transparency is composited on white; the first frame of an animation counts; EXIF rotation is not applied, as
    upstream does not; 16-bit grey is scaled to 8 bits. Raises `BadImage`: not an image, truncated, too large, or of
    samples that have no rule (docs/PROTOCOLS.md).
    """
    if isinstance(data, np.ndarray):
        if data.dtype != np.uint8 or data.ndim != 3 or data.shape[2] != 3 or not data.size:
            raise BadImage(f"a picture of shape {data.shape} and {data.dtype} where (height, width, 3) uint8 is needed")
        return torch.from_numpy(np.array(data, order="C")).permute(2, 0, 1)
    image = open_picture(data)
    with _alone if image.width * image.height >= LARGE else nullcontext():
        load(image)
        rgb = to_rgb(image)
    return torch.from_numpy(rgb).permute(2, 0, 1)  # as PIL has it: nothing is moved, and resizing is twice as fast


Known = Callable[[int, bytes], bool]
"""Whether the features of a row, whose content hash is given, are stored already."""


def prepare(images: Images, row: int, recipes: Sequence[Recipe], known: Known | None = None) -> Decoded:
    """Read and decode one sample and make every recipe's pixels of it, unless its features are `known`."""
    content = bytes(16)
    try:
        data = images.read(row)
        content = content_hash(data.tobytes() if isinstance(data, np.ndarray) else data)
        if known is not None and known(row, content):
            return Decoded(row, content, {}, stored=True)
        picture, sample = decode(data), images.samples.ids[row]
        return Decoded(row, content, {recipe: make_pixels(picture, recipe, sample) for recipe in recipes})
    except BadImage as error:
        return Decoded(row, content, {}, bad=str(error))


def decoded(
    images: Images,
    jobs: Iterable[tuple[int, Sequence[Recipe]]],
    *,
    workers: int,
    ahead: int,
    known: Known | None = None,
) -> Generator[Decoded, None, None]:
    """`prepare` of every (row, recipes), in order, by `workers` threads that stay up to `ahead` samples in front.

    Threads, not processes: PIL and torch release the interpreter while they decode and resize. Torch's number of
    threads is left as it is: with 1 in each of these, OpenMP's others wait spinning, and a quarter of the images/s is
    lost.
    """
    waiting: deque[Future[Decoded]] = deque()
    pool = ThreadPoolExecutor(workers, "decode")
    try:
        for row, recipes in jobs:
            waiting.append(pool.submit(prepare, images, row, recipes, known))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
