"""What an extraction would do: images, bytes, and the time by a short trial. Writes nothing."""

import time
from dataclasses import dataclass

from extract.config import ExtractConfig
from extract.datasets.common import Images
from extract.extractor import missing_bytes, open_writer, work
from extract.forward.network import Network
from extract.images.decoding import prepare
from extract.images.recipes import Recipe
from extract.reuse import Stored
from store.root import check_room, open_root

TRIAL_IMAGES = 16


@dataclass
class Planned:
    """One feature set that is asked for."""

    dataset: str
    split: str
    backbone: str
    view: int
    num_samples: int
    dim: int
    missing: int
    """Images whose block is not stored yet."""
    known: int
    """Of these, as many as have the name and size of an image that the same network saw: they may be copied."""
    bytes: int
    """What they will take in the store."""
    seconds: float
    """By the trial, in one process."""
    free_bytes: int | None


def plan(config: ExtractConfig) -> list[Planned]:
    """Go through all that `extractor.run` would do. Raises `RootError`: the disk cannot hold it."""
    root, planned = open_root(config.store), list[Planned]()
    free = root.free_bytes()
    for images, seen in work(root, config):
        timed: set[tuple[Network, Recipe]] = set()  # several taps of one network are one pass
        for one in seen:
            writer = open_writer(root, config, images, one)
            missing = sum(len(writer.rows(block)) for block in writer.missing())
            known = 0
            if missing:
                stored = Stored(root, one.name, writer.fingerprint)
                known = max(0, stored.likely(images.samples, missing) - images.changed)
            first = bool(missing) and (one.net, one.recipe) not in timed
            if first:
                timed.add((one.net, one.recipe))
            planned.append(
                Planned(
                    dataset=images.samples.dataset,
                    split=images.samples.split,
                    backbone=one.name,
                    view=one.recipe.view,
                    num_samples=len(images.samples),
                    dim=writer.dim,
                    missing=missing,
                    known=known,
                    bytes=missing_bytes(writer) if missing else 0,
                    seconds=(missing - known) * _seconds_per_image(config, images, one.net, one.recipe)
                    if first
                    else 0.0,
                    free_bytes=free,
                )
            )
    check_room(root, sum(row.bytes for row in planned))
    return planned


def _seconds_per_image(config: ExtractConfig, images: Images, net: Network, recipe: Recipe) -> float:
    """Decoding (shared by the decoding threads) and forwarding, measured one after the other on the first images."""
    forward = net.ready(images, recipe)
    rows = range(min(TRIAL_IMAGES, len(images.samples)))
    start = time.perf_counter()
    samples = [prepare(images, row, [recipe]) for row in rows]
    decoding = time.perf_counter() - start
    batch = [sample.pixels[recipe] for sample in samples if not sample.bad]
    if not batch:
        return decoding / len(rows)
    forward(batch, recipe, len(batch))
    start = time.perf_counter()
    forward(batch, recipe, len(batch))
    return decoding / len(rows) / config.workers + (time.perf_counter() - start) / len(batch)
