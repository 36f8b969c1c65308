"""What a student learns from: features of teachers, out of the store where their views are there, else computed."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from extract.datasets.common import Images
from extract.forward.folding import fold_batchnorm
from extract.forward.known import all_known, guarded
from extract.images.recipes import Recipe
from extract.images.transforms import normalise
from extract.loading import Loaded
from extract.training.batches import Batch
from extract.training.loop import autocast
from store.concat import Concat
from store.errors import BadValue, MissingFeatures, SamplesMismatch
from store.heads import StoredHead
from store.opening import open_set
from store.root import Root

log = logging.getLogger("extract")

Teachers = Callable[[Batch], list[Tensor]]
"""A batch -> the features of every teacher, (B, D) float32 each, on the device."""


@dataclass(frozen=True)
class Stored:
    """Views of every teacher that are in the store: nothing is computed."""

    views: tuple[Concat, ...]
    first: int
    """The view that `views` begins with."""
    seed: int
    """That the views' crops were drawn with: the student must see the same."""
    device: torch.device

    def check_networks(self, loaded: Sequence[Loaded]) -> None:
        """Raise `SamplesMismatch` if the features are not those of the networks that these names have now."""
        for x in self.views:
            for part, one in zip(x.parts, loaded, strict=True):
                if part.manifest.parts["weights"] != one.weights_sha256:
                    m = part.manifest
                    raise SamplesMismatch(
                        f"{m.key}@{m.fingerprint[:8]} are features of other weights than {one.name} has now: "
                        f"`python -m store rm {m.key}@{m.fingerprint[:8]}` and extract it again, or --from live"
                    )

    def __call__(self, batch: Batch) -> list[Tensor]:
        order = np.argsort(batch.rows)  # blocks are read once each
        back = torch.from_numpy(np.argsort(order))
        rows = batch.rows[order]
        parts = self.views[batch.view - self.first].parts
        return [torch.from_numpy(part.read(rows))[back].to(self.device) for part in parts]


def open_stored(
    root: Root, dataset: str, images: Images, names: Sequence[str], device: torch.device, *, views: bool = True
) -> Stored | None:
    """Views 1, 2, ... that all teachers have of these very images (without `views`, view 0); None: there are none.

    Raises: SamplesMismatch: other images; BadValue: views of different seeds, or images that could not be read.
    """
    found, first, split = list[Concat](), int(views), images.samples.split
    for view in count(first) if views else (0,):
        try:
            found.append(Concat([open_set(root, dataset, split, name, view=view) for name in names]))
        except MissingFeatures:
            break
    if not found:
        return None
    parts = [part for x in found for part in x.parts]
    other = next((part.manifest.key for part in parts if part.manifest.samples != images.samples.id), None)
    if other is not None:
        raise SamplesMismatch(f"{other} in {root.url} is of other images than there are now: extract it again")
    seeds = {part.manifest.parts["recipe"].get("seed", 0) for part in parts}
    bad = sum(x.bad_rows.size for x in found)
    if len(seeds) > 1 or bad:
        why = f"{bad} images could not be read" if bad else f"their crops were drawn with the seeds {sorted(seeds)}"
        who = ", ".join(names)
        raise BadValue(f"the stored views of {who} cannot teach: {why}; extract them again, or --from live")
    return Stored(tuple(found), first, seeds.pop(), device)


class Live:
    """The teachers themselves, in eval mode, on the crops that the student sees."""

    def __init__(self, loaded: Sequence[Loaded], student: Recipe, device: torch.device, precision: str) -> None:
        self.device, self.precision = device, precision
        self.nets: list[nn.Module] = []
        self.plain = [not all_known(one.net) for one in loaded]
        """Which are a user's, and may count on how their maps lie in memory."""
        for one, plain in zip(loaded, self.plain, strict=True):
            fold_batchnorm(one.net)
            net = one.net.to(device)
            self.nets.append(net if plain else net.to(memory_format=torch.channels_last))
        self.recipes = [one.recipe for one in loaded]
        pixels = [replace(recipe, mean=student.mean, std=student.std) for recipe in self.recipes]
        self.also = tuple(dict.fromkeys(recipe for recipe in pixels if recipe != student))
        """Recipes whose pixels are not the student's."""
        self.place = [0 if recipe == student else 1 + self.also.index(recipe) for recipe in pixels]

    @torch.no_grad()
    def __call__(self, batch: Batch) -> list[Tensor]:
        found, inputs = [], dict[tuple[int, Recipe], Tensor]()
        for net, plain, recipe, place in zip(self.nets, self.plain, self.recipes, self.place, strict=True):
            if (place, recipe) not in inputs:
                inputs[place, recipe] = normalise(batch.pixels[place], recipe)
            pixels = inputs[place, recipe].contiguous() if plain else inputs[place, recipe]
            with autocast(self.device, self.precision), guarded(net, "a teacher"):
                found.append(net(pixels).float())
        return found


class Answers:
    """Teachers under their heads: a batch -> logits (B, C) of each."""

    def __init__(self, features: Teachers, heads: Sequence[StoredHead], device: torch.device) -> None:
        self.features = features
        self.heads = [
            (torch.from_numpy(h.weight).to(device), torch.from_numpy(h.bias).to(device), bool(h.info["normalise"]))
            for h in heads
        ]

    def __call__(self, batch: Batch) -> list[Tensor]:
        found = []
        for x_BD, (weight, bias, unit) in zip(self.features(batch), self.heads, strict=True):
            found.append(linear(normalize(x_BD, dim=1) if unit else x_BD, weight, bias))
        return found
