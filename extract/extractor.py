"""Images through backbones into the store: what is missing, and nothing else.

Ranks share nothing but the store (claims.py); whoever sees a set complete commits it.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from extract.claims import Claims
from extract.config import ExtractConfig
from extract.datasets import open_dataset, splits_of
from extract.datasets.common import Images
from extract.images import Decoded
from extract.loading import load
from extract.network import Network
from extract.pipeline import Lane, Seconds, fill
from extract.precision import pick_device
from extract.recipes import Recipe, for_dataset
from store.errors import BadImage, BadValue, RootError
from store.fingerprint import Fingerprint
from store.keys import FeatureKey
from store.records import Record, write_record
from store.root import Root, open_root
from store.runtime import Progress, rank, size, versions
from store.writer import FeatureWriter

log = logging.getLogger("extract")


@dataclass
class Made:
    """What became of one feature set; a row of the table that the command prints."""

    dataset: str
    split: str
    backbone: str
    view: int
    fingerprint: str
    num_samples: int
    dim: int
    extracted: int
    """Images that went through the network in this run."""
    bad: int
    state: str
    """extracted, complete (nothing was to do) or unfinished (other ranks are at the rest)."""


Seen = tuple[Network, Recipe]
"""A backbone and the view that it sees."""


def run(config: ExtractConfig) -> list[Made]:
    """Extract every (dataset, split, backbone, view) that is not in the store yet."""
    root, start, seconds = open_root(config.store), time.perf_counter(), Seconds()
    made: list[Made] = []
    for images, seen in work(config):
        made += _extract(root, config, images, seen, seconds)
    if any(row.extracted for row in made):
        _record(root, config, made, seconds, time.perf_counter() - start)
    return made


def work(config: ExtractConfig) -> Iterator[tuple[Images, list[Seen]]]:
    """Every split that is asked for, with what is to see it."""
    device = pick_device(config.device)
    nets = [
        Network(partial(load, name, config.weights, config.weights_root, config.backbones), device, config.precision)
        for name in config.backbone
    ]
    for dataset in config.dataset:
        seen = [
            (net, for_dataset(net.loaded.recipe, dataset).with_view(view, config.seed))
            for net in nets
            for view in range(config.views)
        ]
        for split in config.split or splits_of(dataset, config.data_root):
            yield open_dataset(dataset, split, config.data_root, allow_absent=config.skip_bad), seen


def open_writer(root: Root, config: ExtractConfig, images: Images, net: Network, recipe: Recipe) -> FeatureWriter:
    """The feature set of one backbone, split and view, in the precision class that `net` stands at."""
    samples, loaded = images.samples, net.loaded
    fingerprint = Fingerprint(
        weights=loaded.weights_sha256,
        architecture=loaded.architecture,
        layer="features",
        pooling="avg",
        recipe=recipe.parts(),
        precision=net.precision,
        dtype=config.dtype,
        samples=samples.id,
    )
    key = FeatureKey(samples.dataset, samples.split, loaded.name)
    choices = {"batch_size": net.batch_size(config.batch_size)}
    return FeatureWriter(
        root, key, fingerprint, samples, loaded.dim,
        choices=choices, block_rows=config.block_rows, backend=config.backend,
    )  # fmt: skip


def _extract(root: Root, config: ExtractConfig, images: Images, seen: list[Seen], seconds: Seconds) -> list[Made]:
    """Bring every set of one split, one for each backbone and view, to its commit, as far as it is this rank's work."""
    made: dict[int, Made] = {}
    lanes: dict[int, Lane] = {}
    for i, (net, recipe) in enumerate(seen):
        writer = open_writer(root, config, images, net, recipe)
        if not writer.committed:
            forward = net.ready(images, recipe)
            writer = open_writer(root, config, images, net, recipe)  # the check may have changed the precision class
        if writer.committed:
            writer.save_samples()
            made[i] = _made(writer, recipe.view, 0, 0, "complete")
        else:
            lanes[i] = Lane(writer, recipe, forward, writer.choices["batch_size"])
    bad = _fill(config, images, list(lanes.values()), seconds) if lanes else 0
    for i, lane in lanes.items():
        net = seen[i][0]
        told = {"versions": versions(), "batch_size": lane.batch_size, **net.cost(lane.recipe)}
        done = lane.writer.commit(told, net.error)
        made[i] = _made(lane.writer, lane.recipe.view, lane.extracted, bad, "extracted" if done else "unfinished")
    return [made[i] for i in range(len(seen))]


def _fill(config: ExtractConfig, images: Images, lanes: list[Lane], seconds: Seconds) -> int:
    """Fill the missing blocks of all lanes; returns how many images of this rank could not be read."""
    samples = images.samples
    check_room(lanes[0].writer.root, sum(missing_bytes(lane.writer) for lane in lanes))
    missing: set[int] = set().union(*(lane.writer.missing() for lane in lanes))
    total = sum(len(lanes[0].writer.rows(block)) for block in missing) // size()
    bad = 0
    with Progress(total, f"{samples.dataset}/{samples.split}") as progress:

        def on_sample(sample: Decoded) -> None:
            nonlocal bad
            if sample.bad:
                _bad_image(config, images, sample)
                bad += 1
            progress.update(1)

        claims = Claims([lane.writer for lane in lanes], rank(), size())
        fill(images, lanes, claims, workers=config.workers, seconds=seconds, on_sample=on_sample)
    if bad == len(samples):
        raise BadValue(f"{lanes[0].writer.key}: not one of its {bad} images can be read; nothing is committed")
    return bad


def missing_bytes(writer: FeatureWriter) -> int:
    """What the blocks that are not there yet will take."""
    rows = sum(len(writer.rows(block)) for block in writer.missing())
    return rows * writer.dim * np.dtype(writer.fingerprint.dtype).itemsize


def check_room(root: Root, needed: int) -> None:
    """Raise `RootError` where the disk cannot hold so many bytes."""
    free = root.free_bytes()
    if free is not None and needed > free:
        raise RootError(
            f"store {root.url}: the features need {needed / 1e9:.2f} GB, but {free / 1e9:.2f} GB are free; "
            "free some room, give another --store, or extract fewer backbones at a time"
        )


def _bad_image(config: ExtractConfig, images: Images, sample: Decoded) -> None:
    samples = images.samples
    where = f"{samples.dataset}/{samples.split}, row {sample.row}, {samples.ids[sample.row]!r}: {sample.bad}"
    if not config.skip_bad:
        raise BadImage(f"{where}. Mend or remove the image, or go on without it: --skip-bad")
    log.warning("skipped %s", where)


def _made(writer: FeatureWriter, view: int, extracted: int, bad: int, state: str) -> Made:
    return Made(
        dataset=writer.key.dataset,
        split=writer.key.split,
        backbone=writer.key.backbone,
        view=view,
        fingerprint=writer.fingerprint.hex,
        num_samples=len(writer.samples),
        dim=writer.dim,
        extracted=extracted,
        bad=bad,
        state=state,
    )


def _record(root: Root, config: ExtractConfig, made: list[Made], seconds: Seconds, total: float) -> None:
    images = sum(row.extracted for row in made)
    features = [{name: getattr(m, name) for name in ("dataset", "split", "backbone", "fingerprint")} for m in made]
    metrics = {
        "images": images,
        "images_per_second": images / total,
        "bad_rows": sum(row.bad for row in made),
        "bottleneck": seconds.bottleneck(),
    }
    stages = {**asdict(seconds), "total": total}
    write_record(
        root, Record(kind="extract", config=asdict(config), features=features, metrics=metrics, seconds=stages)
    )
