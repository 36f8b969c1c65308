"""Images through backbones into the store: what is missing, and nothing else.

Ranks share nothing but the store (claims.py); whoever sees a set complete commits it.
"""

import logging
import time
from dataclasses import asdict, dataclass, replace

import torch

from extract.claims import Claims
from extract.config import ExtractConfig
from extract.datasets import open_dataset, splits_of
from extract.datasets.common import Images
from extract.images import Decoded
from extract.loading import Loaded, load
from extract.pipeline import Lane, Seconds, fill
from extract.precision import Forward, pick_device
from extract.recipes import for_dataset
from store.errors import BadImage, BadValue
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


def run(config: ExtractConfig) -> list[Made]:
    """Extract every (dataset, split, backbone) that is not in the store yet."""
    root, device, start = open_root(config.store), pick_device(config.device), time.perf_counter()
    nets = [load(name, config.weights, config.weights_root) for name in config.backbone]
    made: list[Made] = []
    seconds = Seconds()
    for dataset in config.dataset:
        seen = [
            replace(net, recipe=for_dataset(net.recipe, dataset).with_view(view, config.seed))
            for net in nets
            for view in range(config.views)
        ]
        for split in config.split or splits_of(dataset, config.data_root):
            images = open_dataset(dataset, split, config.data_root, allow_absent=config.skip_bad)
            lanes = [_open_lane(root, config, images, net, device) for net in seen]
            made += _extract(config, images, lanes, seconds)
    if any(row.extracted for row in made):
        _record(root, config, made, seconds, time.perf_counter() - start)
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
    choices = {"batch_size": config.batch_size}
    writer = FeatureWriter(root, key, fingerprint, samples, net.dim, choices=choices, block_rows=config.block_rows)
    return Lane(writer, net.recipe, Forward(net.net, net.recipe, net.dim, device, writer.choices["batch_size"]))


def _extract(config: ExtractConfig, images: Images, lanes: list[Lane], seconds: Seconds) -> list[Made]:
    """Fill the missing blocks of all lanes and commit what is complete."""
    samples = images.samples
    before = [lane.writer.committed for lane in lanes]
    missing = set().union(*(lane.writer.missing() for lane in lanes))
    bad: set[int] = set()
    total = sum(len(lanes[0].writer.rows(block)) for block in missing) // size()
    with Progress(total, f"{samples.dataset}/{samples.split}") as progress:

        def on_sample(sample: Decoded) -> None:
            if sample.bad:
                _bad_image(config, images, sample)
                bad.add(sample.row)
            progress.update(1)

        claims = Claims([lane.writer for lane in lanes], rank(), size())
        fill(images, lanes, claims, workers=config.workers, seconds=seconds, on_sample=on_sample)
    if len(bad) == len(samples):
        raise BadValue(f"{lanes[0].writer.key}: not one of its {len(bad)} images can be read; nothing is committed")
    return [_finish(lane, len(bad), was) for lane, was in zip(lanes, before, strict=True)]


def _bad_image(config: ExtractConfig, images: Images, sample: Decoded) -> None:
    samples = images.samples
    where = f"{samples.dataset}/{samples.split}, row {sample.row}, {samples.ids[sample.row]!r}: {sample.bad}"
    if not config.skip_bad:
        raise BadImage(f"{where}. Mend or remove the image, or go on without it: --skip-bad")
    log.warning("skipped %s", where)


def _finish(lane: Lane, bad: int, was_committed: bool) -> Made:
    writer = lane.writer
    done = writer.commit({"versions": versions(), "batch_size": lane.forward.batch_size})
    return Made(
        dataset=writer.key.dataset,
        split=writer.key.split,
        backbone=writer.key.backbone,
        view=lane.recipe.view,
        fingerprint=writer.fingerprint.hex,
        num_samples=len(writer.samples),
        dim=writer.dim,
        extracted=lane.extracted,
        bad=bad,
        state="complete" if was_committed else "extracted" if done else "unfinished",
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
