"""Batches of augmented images for training: which rows when, and their pixels, made ahead by threads.

What an image looks like in an epoch is drawn from hash(seed, view, sample id) with view = epoch + 1 (views.py), and the
order from (seed, epoch): a resumed run sees what an uninterrupted one sees.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from extract import ranks
from extract.datasets.common import Images
from extract.images.decoding import decoded
from extract.images.recipes import Recipe
from store.errors import BadImage

Order = Callable[[int], np.ndarray]
"""epoch -> rows (steps, batch) int64 into the samples, of all ranks together."""


@dataclass
class Batch:
    """What this rank sees of a step."""

    rows: np.ndarray
    """(B,) rows of the samples."""
    pixels: list[Tensor]
    """(B, 3, h, w) uint8 on the device, one for each recipe that was asked for."""
    labels: Tensor
    """(B, L) int64, one column for each head."""
    groups: Tensor | None
    """(B,) int64"""
    view: int
    epoch: int
    step: int
    """Since the beginning of the run."""


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    images: Images
    recipe: Recipe
    """The evaluation crop of what is trained; its views are trained on, where it has any."""
    labels: Tensor
    """(N, L) int64; -1 in no row that `order` gives."""
    order: Order
    groups: Tensor | None = None
    """(N,) int64"""
    seed: int = 0
    """Of the views."""
    views: int | None = None
    """Epoch e shows view 1 + e % views; None: every epoch another one."""
    also: tuple[Recipe, ...] = field(default=())
    """Evaluation crops of other networks that see the same views: live teachers."""

    def view(self, epoch: int) -> int:
        if self.recipe.augment is None:
            return 0
        return 1 + (epoch % self.views if self.views else epoch)


def shuffled(rows: np.ndarray, batch: int, seed: int) -> Order:
    """Every row once an epoch but for the last ones that do not fill a batch; fewer rows than a batch are one batch."""
    batch = min(batch, len(rows))

    def order(epoch: int) -> np.ndarray:
        mixed = np.random.default_rng([seed, epoch]).permutation(rows)
        return mixed[: len(rows) // batch * batch].reshape(-1, batch)

    return order


def batches(data: TrainingData, epoch: int, first: int, device: torch.device, workers: int) -> Iterator[Batch]:
    """What this rank sees of every step of an epoch, from step `first` of it on. Raises `BadImage`."""
    order, view = data.order(epoch), data.view(epoch)
    share = list(order[:, ranks.rank() :: ranks.size()])
    recipes = [recipe.with_view(view, data.seed) for recipe in (data.recipe, *data.also)]
    columns = [data.labels.to(device), None if data.groups is None else data.groups.to(device)]
    for step, (rows, pixels) in enumerate(_pixels(data.images, share[first:], recipes, workers), first):
        at = torch.from_numpy(rows).to(device)
        yield Batch(
            rows=rows,
            pixels=[one.to(device, non_blocking=True) for one in pixels],
            labels=columns[0][at],  # type: ignore[index]
            groups=None if columns[1] is None else columns[1][at],
            view=view,
            epoch=epoch,
            step=epoch * len(order) + step,
        )


def evaluation(
    images: Images, rows: np.ndarray, recipe: Recipe, batch: int, workers: int
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """(rows, pixels) of this rank's part of `rows`, evaluation crops."""
    share = rows[ranks.rank() :: ranks.size()]
    parts = [share[start : start + batch] for start in range(0, len(share), batch)]
    for part, (pixels,) in _pixels(images, parts, [recipe], workers):
        yield part, pixels


def _pixels(
    images: Images, parts: Sequence[np.ndarray], recipes: Sequence[Recipe], workers: int
) -> Iterator[tuple[np.ndarray, list[Tensor]]]:
    """(rows, for each recipe (B, 3, h, w) uint8, channels last in memory) of each part."""
    jobs = ((int(row), recipes) for part in parts for row in part)
    samples = decoded(images, jobs, workers=workers, ahead=2 * max((len(part) for part in parts), default=1))
    pin = torch.cuda.is_available()
    for part in parts:
        found = [next(samples) for _ in part]
        bad = next((sample for sample in found if sample.bad), None)
        if bad is not None:
            where = f"{images.samples.dataset}/{images.samples.split}, row {bad.row}, {images.samples.ids[bad.row]!r}"
            raise BadImage(f"{where}: {bad.bad}. Mend or remove the image")
        made = []
        for recipe in recipes:
            height, width = found[0].pixels[recipe].shape[1:]
            out = torch.empty((len(part), height, width, 3), dtype=torch.uint8, pin_memory=pin).permute(0, 3, 1, 2)
            made.append(torch.stack([sample.pixels[recipe] for sample in found], out=out))
        yield part, made
    samples.close()
