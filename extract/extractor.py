"""Images through backbones into the store: one decode feeds every backbone, one block after the other.

Ranks share nothing: rank r takes every size-th missing block, and whoever sees a set complete commits it.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from extract.config import ExtractConfig
from extract.datasets import open_dataset, splits_of
from extract.datasets.common import Images
from extract.images import Decoded, decoded
from extract.loading import Loaded, load
from extract.precision import Forward, pick_device
from store.errors import BadImage, BadValue
from store.fingerprint import Fingerprint
from store.keys import FeatureKey
from store.records import Record, write_record
from store.root import Root, open_root
from store.runtime import Progress, rank, size, versions
from store.writer import FeatureWriter

log = logging.getLogger("extract")


@dataclass
class Lane:
    """One backbone on its way through one split."""

    loaded: Loaded
    writer: FeatureWriter
    forward: Forward
    todo: frozenset[int]
    """Blocks of this rank."""
    features: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """Features of the block at hand."""
    pending: list[Decoded] = field(default_factory=list)
    filled: int = 0

    def start_block(self, rows: int) -> None:
        self.features, self.filled = np.full((rows, self.writer.dim), np.nan, np.float32), 0

    def add(self, sample: Decoded) -> None:
        self.pending.append(sample)
        if len(self.pending) == self.forward.batch_size:
            self.flush()

    def flush(self) -> None:
        """Run what is pending; bad images keep NaN."""
        good = [i for i, sample in enumerate(self.pending) if not sample.bad]
        if good:
            batch = [self.pending[i].pixels[self.loaded.recipe] for i in good]
            self.features[self.filled + np.array(good)] = self.forward(batch)
        self.filled += len(self.pending)
        self.pending.clear()


@dataclass
class Made:
    """What became of one feature set; a row of the table that the command prints."""

    dataset: str
    split: str
    backbone: str
    fingerprint: str
    num_samples: int
    dim: int
    extracted: int
    """Images that went through the network in this run."""
    bad: int
    state: str
    """extracted, complete (nothing was to do) or unfinished (other ranks hold the rest)."""


def run(config: ExtractConfig) -> list[Made]:
    """Extract every (dataset, split, backbone) that is not in the store yet."""
    root, device, start = open_root(config.store), pick_device(config.device), time.perf_counter()
    nets = [load(name, config.weights, config.weights_root) for name in config.backbone]
    made: list[Made] = []
    seconds = {"read": 0.0, "forward": 0.0, "store": 0.0}
    for dataset in config.dataset:
        for split in config.split or splits_of(dataset):
            images = open_dataset(dataset, split)
            lanes = [_open_lane(root, config, images, net, device) for net in nets]
            made += _extract(config, images, lanes, seconds)
    if any(row.extracted for row in made):
        seconds["total"] = time.perf_counter() - start
        features = [{k: getattr(m, k) for k in ("dataset", "split", "backbone", "fingerprint")} for m in made]
        metrics = {"images": sum(m.extracted for m in made), "bad_rows": sum(m.bad for m in made)}
        settings = {name: getattr(config, name) for name in config.__dataclass_fields__}
        write_record(root, Record(kind="extract", config=settings, features=features, metrics=metrics, seconds=seconds))
    return made


def _open_lane(root: Root, config: ExtractConfig, images: Images, net: Loaded, device: torch.device) -> Lane:
    samples = images.samples
    fingerprint = Fingerprint(
        weights=net.weights_sha256,
        architecture=net.architecture,
        layer="features",
        pooling="avg",
        recipe=net.recipe.parts(),
        precision="fp32",
        dtype=config.dtype,
        samples=samples.id,
    )
    key = FeatureKey(samples.dataset, samples.split, net.name)
    writer = FeatureWriter(
        root, key, fingerprint, samples, net.dim,
        choices={"batch_size": config.batch_size}, block_rows=config.block_rows,
    )  # fmt: skip
    writer.save_samples()
    forward = Forward(net.net, net.recipe, net.dim, device, writer.choices["batch_size"])
    return Lane(net, writer, forward, frozenset(writer.missing()[rank() :: size()]))


def _extract(config: ExtractConfig, images: Images, lanes: Sequence[Lane], seconds: dict[str, float]) -> list[Made]:
    """Fill the missing blocks of all lanes and commit what is complete."""
    samples = images.samples
    blocks = sorted(frozenset().union(*(lane.todo for lane in lanes)))
    bad: dict[int, str] = {}
    total = sum(len(lanes[0].writer.rows(block)) for block in blocks)
    with Progress(total, f"{samples.dataset}/{samples.split}") as progress:
        for block in blocks:
            active = [lane for lane in lanes if block in lane.todo]
            bad |= _extract_block(config, images, active, block, progress, seconds)
    return [_finish(lane, len(bad)) for lane in lanes]


def _extract_block(
    config: ExtractConfig,
    images: Images,
    lanes: Sequence[Lane],
    block: int,
    progress: Progress,
    seconds: dict[str, float],
) -> dict[int, str]:
    rows, clock = lanes[0].writer.rows(block), time.perf_counter
    recipes = list({lane.loaded.recipe for lane in lanes})
    content_B, bad = np.zeros((len(rows), 16), np.uint8), dict[int, str]()
    for lane in lanes:
        lane.start_block(len(rows))
    ahead = 2 * max(lane.forward.batch_size for lane in lanes)
    last = clock()
    for sample in decoded(images, rows, recipes, workers=config.workers, ahead=ahead):
        ready = clock()
        seconds["read"] += ready - last
        if sample.bad:
            bad[sample.row] = _bad_image(config, images, sample)
        content_B[sample.row - rows.start] = np.frombuffer(sample.content, np.uint8)
        for lane in lanes:
            lane.add(sample)
        progress.update(1)
        last = clock()
        seconds["forward"] += last - ready
    start = clock()
    for lane in lanes:
        lane.flush()
    seconds["forward"] += clock() - start
    start = clock()
    for lane in lanes:
        lane.writer.write(block, lane.features, content_B, bad)
    seconds["store"] += clock() - start
    return bad


def _bad_image(config: ExtractConfig, images: Images, sample: Decoded) -> str:
    samples = images.samples
    where = f"{samples.dataset}/{samples.split}, row {sample.row}, {samples.ids[sample.row]!r}: {sample.bad}"
    if not config.skip_bad:
        raise BadImage(f"{where}. Mend or remove the image, or go on without it: --skip-bad")
    log.warning("skipped %s", where)
    return sample.bad


def _finish(lane: Lane, bad: int) -> Made:
    writer, before = lane.writer, lane.writer.committed
    if bad == len(writer.samples):
        raise BadValue(f"{writer.key}: not one of its {bad} images can be read; nothing is committed")
    done = writer.commit({"versions": versions(), "batch_size": lane.forward.batch_size})
    return Made(
        dataset=writer.key.dataset,
        split=writer.key.split,
        backbone=writer.key.backbone,
        fingerprint=writer.fingerprint.hex,
        num_samples=len(writer.samples),
        dim=writer.dim,
        extracted=sum(len(writer.rows(block)) for block in lane.todo),
        bad=bad,
        state="complete" if before else "extracted" if done else "unfinished",
    )
