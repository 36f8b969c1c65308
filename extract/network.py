"""A backbone ready to extract: on its device, in its precision class, measured against float32 on real images."""

import logging
from collections.abc import Callable
from itertools import islice

import torch

from extract.cost import count_flops, count_parameters
from extract.datasets.common import Images
from extract.images import decoded
from extract.loading import Loaded
from extract.precision import MIN_COSINE, Forward, compare, largest_batch, pick_precision, reference
from extract.recipes import Recipe
from extract.transforms import input_size
from store.errors import BadValue

log = logging.getLogger("extract")

CHECKED_IMAGES = 16
"""The first images, on which every run compares what it is about to do with float32."""
CPU_BATCH, GPU_BATCH = 32, 256
LOOK_AT = 256
"""Rows to look through for so many that can be read."""


class Network:
    """One backbone of a run; `ready` decides its precision class, once, before the first block.

    `load` is called again in the rare case that the network has to be had once more as it was.
    """

    def __init__(self, load: Callable[[], Loaded], device: torch.device, precision: str) -> None:
        self._load, self._device, self._auto = load, device, precision == "auto"
        self.loaded = load()
        self.precision = pick_precision(precision, device)
        self.error: dict[str, float] = {}
        """Measured against float32 on the first images: precision.compare."""
        self._parameters = 0
        self._forward: Forward | None = None

    def ready(self, images: Images, recipe: Recipe) -> Forward:
        """The forward pass, checked on the first images of the split as `recipe` shows them.

        Where `auto` chose a class that is not close enough it falls back to float32, and says so.
        Raises `BadValue`: a class that was asked for by name is not close enough.
        """
        if self._forward is None:
            found = decoded(
                images, ((row, [recipe]) for row in range(min(len(images.samples), LOOK_AT))), workers=2, ahead=4
            )
            batch = [sample.pixels[recipe] for sample in islice((s for s in found if not s.bad), CHECKED_IMAGES)]
            found.close()
            self._parameters = count_parameters(self.loaded.net)
            want = reference(self.loaded.net, batch, recipe, self._device) if batch else None
            self._forward = self._make(self.precision)
            if want is not None:
                self.error = compare(self._forward(batch, recipe, len(batch)), want)
                if self.error["cosine"] < MIN_COSINE:
                    self._fall_back()
                    self.error = compare(self._forward(batch, recipe, len(batch)), want)
        return self._forward

    def batch_size(self, asked: int | None) -> int:
        """Images of one forward pass: as asked, or what fits into the memory of the device. Call `ready` first."""
        if asked or self._device.type == "cpu" or not self._forward:
            return asked or CPU_BATCH
        return largest_batch(self._forward, self.loaded.recipe, GPU_BATCH)

    def cost(self, recipe: Recipe) -> dict[str, int]:
        """`parameters`, and `flops_per_image` where it can be told, for the manifest. Call `ready` first."""
        size = input_size(recipe)
        flops = count_flops(self.loaded.net, size) if size else None
        return {"parameters": self._parameters} | ({} if flops is None else {"flops_per_image": flops})

    def _make(self, precision: str, *, fold: bool = True) -> Forward:
        net = self.loaded
        return Forward(net.net, net.dim, self._device, precision, fold=fold)

    def _fall_back(self) -> None:
        far = f"{self.loaded.name} in {self.precision}: the cosine with float32 is {self.error['cosine']:.5f}"
        if self.precision != "fp32" and not self._auto:
            raise BadValue(f"{far}, must be at least {MIN_COSINE}: --precision auto or fp32")
        log.warning("%s, less than %s: falling back to plain float32", far, MIN_COSINE)
        self.loaded = self._load()
        self.precision = "fp32"
        self._forward = self._make("fp32", fold=False)
