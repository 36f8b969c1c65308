"""A backbone ready to extract: on its device, in its precision class, measured against float32 on real images."""

import logging
import time
from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
import torch

from extract.datasets.common import Images
from extract.forward.compiling import compile_forward, pays
from extract.forward.cost import count_flops, count_parameters
from extract.forward.folding import fold_batchnorm
from extract.forward.known import all_known, guarded, has_script
from extract.forward.precision import MIN_COSINE, Forward, compare, largest_batch, pick_precision, reference
from extract.forward.tapped import Tapped, resolve
from extract.forward.taps import OWN, Tap
from extract.images.decoding import decoded
from extract.images.recipes import Recipe
from extract.images.transforms import input_size
from extract.loading import Loaded
from store.errors import BadValue

log = logging.getLogger("extract")

CHECKED_IMAGES = 16
"""The first images, on which every run compares what it is about to do with float32."""
CPU_BATCH, GPU_BATCH = 32, 256
LOOK_AT = 256
"""Rows to look through for so many that can be read."""


class Network:
    """One backbone of a run and where its features are taken; `ready` decides its precision class, once, before the
    first block.

    `load` is called again where the network has to be had once more as it was.
    """

    def __init__(
        self,
        load: Callable[[], Loaded],
        device: torch.device,
        precision: str,
        taps: Sequence[Tap] = (OWN,),
        compiling: str = "off",
    ) -> None:
        self._load, self.device, self._auto = load, device, precision == "auto"
        self.loaded = load()
        self.precision = pick_precision(precision, device)
        self.compiling = compiling
        """auto, on or off."""
        self.taps, self.dims = list(taps), [self.loaded.dim]
        """Where features are taken, and their D; in a forward pass they lie side by side, in this order."""
        if self.taps != [OWN]:
            size = input_size(self.loaded.recipe) or (224, 224)
            found = resolve(self.loaded.name, self.loaded.net, self.taps, size)
            self.taps, self.dims = [tap for tap, _ in found], [dim for _, dim in found]
        self.errors: list[dict[str, float]] = [{} for _ in self.taps]
        """Measured against float32 on the first images, a tap each: precision.compare."""
        self._layout = torch.channels_last
        self._parameters = 0
        self._checked: tuple[list[torch.Tensor], np.ndarray] | None = None
        """(images, float32 features)"""
        self._seconds_per_image = 0.0
        self._forward: Forward | None = None

    def columns(self, tap: int) -> slice:
        """Of a forward pass, those of one tap."""
        start = sum(self.dims[:tap])
        return slice(start, start + self.dims[tap])

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
            if batch:
                plain = self._tapped()
                with guarded(self.loaded.net, f"{self.loaded.name}, given {len(batch)} images,"):
                    self._checked = (batch, reference(plain, batch, recipe, self.device))
                if isinstance(plain, Tapped):
                    plain.close()
            self._forward = self._chosen(recipe)
        return self._forward

    def _chosen(self, recipe: Recipe) -> Forward:
        """The first way to run it that is close to float32."""
        if not all_known(self.loaded.net):
            return self._chosen_for_user(recipe)
        forward = self._make(self.precision)
        return self._fall_back(recipe) if self._far(forward, recipe) else forward

    def _chosen_for_user(self, recipe: Recipe) -> Forward:
        """The same of a user's network, which may count on how its maps lie in memory, or on float32."""
        as_it_is = self._checked is None or has_script(self.loaded.net)
        wrong: BadValue | None = None
        for self._layout in (torch.contiguous_format,) if as_it_is else (torch.channels_last, torch.contiguous_format):
            forward, wrong = self._make(self.precision), None
            try:
                if not self._far(forward, recipe):
                    return forward
            except BadValue as error:
                wrong = error
            if isinstance(forward.net, Tapped):
                forward.net.close()
        if wrong is None:
            return self._fall_back(recipe)
        if not self._auto or self.precision == "fp32":
            raise wrong
        log.warning("%s cannot be run in %s (%s): falling back to float32", self.loaded.name, self.precision, wrong)
        self.precision = "fp32"
        return self._chosen_for_user(recipe)

    def batch_size(self, asked: int | None) -> int:
        """Images of one forward pass: as asked, or what fits into the memory of the device. Call `ready` first."""
        if asked or self.device.type == "cpu" or not self._forward:
            return asked or CPU_BATCH
        return largest_batch(self._forward, self.loaded.recipe, GPU_BATCH)

    def should_compile(self, recipe: Recipe, batch_size: int, images: int) -> bool:
        """Whether so many images should go through torch.compile: as asked, or where it pays. Call `ready` first."""
        if self.compiling != "auto" or not self._forward:
            return self.compiling == "on"
        seconds = self._seconds_per_image * images
        return pays(self._forward, recipe, batch_size, f"{self.loaded.architecture} {self._where()}", seconds)

    def compiled(self, recipe: Recipe, batch_size: int) -> Forward:
        """The forward pass compiled for batches of this shape, and checked as the plain one was; or the plain one."""
        assert self._forward is not None, "ready comes first"
        fast = compile_forward(self._forward, recipe, batch_size)
        if fast is None or self._far(fast, recipe, batch_size):
            if fast is not None:
                log.warning("%s: compiled it is too far from float32; going on without", self.loaded.name)
                self._far(self._forward, recipe)
            return self._forward
        return fast

    def cost(self, recipe: Recipe) -> dict[str, int]:
        """`parameters`, and `flops_per_image` where it can be told, for the manifest. Call `ready` first."""
        size = input_size(recipe)
        flops = count_flops(self.loaded.net, size) if size else None
        return {"parameters": self._parameters} | ({} if flops is None else {"flops_per_image": flops})

    def _far(self, forward: Forward, recipe: Recipe, batch_size: int | None = None) -> bool:
        """Measure `errors`; whether any feature is too far from float32."""
        if self._checked is None:
            return False
        batch, want = self._checked
        step, start = batch_size or len(batch), time.perf_counter()
        with guarded(self.loaded.net, f"{self.loaded.name}, given {step} images,"):
            x_BD = np.concatenate([forward(batch[i : i + step], recipe, step) for i in range(0, len(batch), step)])
        self._seconds_per_image = (time.perf_counter() - start) / len(batch)
        parts = [self.columns(tap) for tap in range(len(self.taps))]
        self.errors = [compare(x_BD[:, part], want[:, part]) for part in parts]
        return any(error["cosine"] < MIN_COSINE for error in self.errors)

    def _where(self) -> str:
        return "" if self.taps == [OWN] else ",".join(f"{tap.layer}:{tap.pooling}" for tap in self.taps)

    def _tapped(self) -> torch.nn.Module:
        return self.loaded.net if self.taps == [OWN] else Tapped(self.loaded.net, self.taps)

    def _make(self, precision: str, *, fold: bool = True) -> Forward:
        if fold:
            fold_batchnorm(self.loaded.net, keep={tap.layer for tap in self.taps})
        return Forward(self._tapped(), sum(self.dims), self.device, precision, fold=False, layout=self._layout)

    def _fall_back(self, recipe: Recipe) -> Forward:
        """Float32, with batch normalisation folded if that is not what was wrong."""
        cosine = min(error["cosine"] for error in self.errors)
        far = f"{self.loaded.name} in {self.precision}: the cosine with float32 is {cosine:.5f}"
        if self.precision != "fp32" and not self._auto:
            raise BadValue(f"{far}, must be at least {MIN_COSINE}: --precision auto or fp32")
        log.warning("%s, less than %s: falling back to float32", far, MIN_COSINE)
        ways = (True, False) if self.precision != "fp32" else (False,)
        self.precision = "fp32"
        for fold in ways:
            self.loaded = self._load()
            forward = self._make("fp32", fold=fold)
            if not self._far(forward, recipe):
                break
        return forward
