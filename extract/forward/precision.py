"""The forward pass: device, precision class, memory layout, fixed batch shape; and how far it is from float32."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from extract.forward.copying import Copies
from extract.forward.folding import fold_batchnorm
from extract.images.recipes import Recipe
from extract.images.transforms import input_size, normalise
from store.errors import BadValue

log = logging.getLogger("extract")

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Precision class -> what convolutions and products run in. Sums, normalisation and the result are float32."""
MIN_COSINE = 0.999
"""Of the worst image: below it a precision class is not used."""


def pick_device(name: str) -> torch.device:
    """`auto` takes CUDA, then MPS, then the CPU. Raises `BadValue`: a device that is not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise BadValue(f"device {name!r} cannot be used here: {reason}; --device auto takes what there is") from error
    return device


def pick_precision(asked: str, device: torch.device) -> str:
    """`auto` takes bfloat16 where the hardware multiplies it, float16 on older CUDA devices, float32 elsewhere."""
    if asked != "auto":
        return asked
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if device.type == "cpu" and _cpu_multiplies_bf16() else "fp32"


def _cpu_multiplies_bf16() -> bool:
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})  # the last is Arm's name


class Forward:
    """(n, 3, h, w) uint8 pixels -> (n, D) float32 features, always in batches of the same shape.

    A batch that is not full is padded, so that an image's features do not depend on where a run was cut. Channels-last,
    batch normalisation folded, inference mode; copies as in copying.py.

    Args:
        layout: how the pixels and the network's maps lie in memory: torch.contiguous_format for code that counts on it.
    """

    def __init__(
        self,
        net: nn.Module,
        dim: int,
        device: torch.device,
        precision: str = "fp32",
        *,
        fold: bool = True,
        layout: torch.memory_format = torch.channels_last,
    ) -> None:
        self.layout = layout
        self.dim, self.device, self.precision = dim, device, precision
        if fold:
            fold_batchnorm(net)
        self.net = net.to(device).to(memory_format=layout)
        self.copies = Copies(device)

    def __call__(self, batch: Sequence[torch.Tensor], recipe: Recipe, batch_size: int) -> np.ndarray:
        """One batch, waited for: `start`."""
        return self.start(batch, recipe, batch_size)()

    @torch.inference_mode()
    def start(self, batch: Sequence[torch.Tensor], recipe: Recipe, batch_size: int) -> Callable[[], np.ndarray]:
        """Send one batch on its way; on CUDA nobody waits for it yet, so that the next one can be sent behind it.

        Args:
            batch: up to `batch_size` images (3, h, w) uint8 of one size.
            recipe: how they are normalised.
        Returns: what waits for it and gives its features, (len(batch), D) float32.
        """
        height, width = batch[0].shape[1:]  # channels last, as images come and as the network wants them
        pixels = torch.zeros((batch_size, height, width, 3), dtype=torch.uint8, pin_memory=self.copies.pin)
        pixels = pixels.permute(0, 3, 1, 2)
        torch.stack(list(batch), out=pixels[: len(batch)])
        x_BCHW = normalise(self.copies.send(pixels), recipe)
        x_BCHW = x_BCHW.contiguous(memory_format=self.layout)
        dtype = DTYPES[self.precision]
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype != torch.float32):
            x_BD = self.net(x_BCHW)
        if x_BD.shape != (batch_size, self.dim):
            need = (batch_size, self.dim)
            raise BadValue(f"the backbone returns {tuple(x_BD.shape)} for {tuple(x_BCHW.shape)}, must return {need}")
        return self.copies.fetch(x_BD[: len(batch)])


@torch.inference_mode()
def reference(net: nn.Module, batch: Sequence[torch.Tensor], recipe: Recipe, device: torch.device) -> np.ndarray:
    """Float32 features of the network as it was loaded: what every precision class is compared with."""
    pixels = torch.stack(list(batch)).to(device)
    features: np.ndarray = net.to(device)(normalise(pixels, recipe).contiguous()).float().cpu().numpy()
    return features


def compare(x_BD: np.ndarray, reference_BD: np.ndarray) -> dict[str, float]:
    """How far features are from float32: for the manifest.

    `max` is the largest difference over the largest magnitude, `cosine` that of the image at the worst percentile.
    """
    scale = float(np.abs(reference_BD).max()) or 1.0
    norms = np.linalg.norm(x_BD, axis=1) * np.linalg.norm(reference_BD, axis=1)
    same = np.abs(x_BD - reference_BD).max(axis=1) <= 1e-6 * scale  # also features that are all zero
    cosine = np.where(same, 1.0, (x_BD * reference_BD).sum(axis=1) / np.maximum(norms, 1e-30))
    worst = float(np.percentile(cosine, 1)) if np.isfinite(cosine).all() else 0.0
    return {"max": float(np.abs(x_BD - reference_BD).max()) / scale, "cosine": worst, "images": len(x_BD)}


def largest_batch(forward: Forward, recipe: Recipe, batch_size: int) -> int:
    """`batch_size`, halved until a batch of it fits into memory. Raises `BadValue`: not even one image fits."""
    size = input_size(recipe) or (224, 224)
    while True:
        try:
            forward([torch.zeros((3, *size), dtype=torch.uint8)], recipe, batch_size)
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            if batch_size == 1:
                raise BadValue(
                    f"not one image of {size[0]}x{size[1]} fits into the memory of {forward.device}"
                ) from error
            batch_size //= 2
            log.warning("out of memory on %s: batch size is now %d", forward.device, batch_size)
        else:
            return batch_size


def _out_of_memory(error: RuntimeError) -> bool:
    """CUDA has a class of its own for it, MPS says it in words."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)
