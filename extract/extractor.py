"""Images through backbones into the store: what is missing, and nothing else.

Ranks share nothing but the store (claims.py); whoever sees a set complete commits it.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from extract.claims import Claims
from extract.config import ExtractConfig
from extract.datasets import DATASETS, open_dataset, splits_of
from extract.datasets.common import Images
from extract.forward.network import Network
from extract.forward.packing import in_packs
from extract.forward.precision import Forward, pick_device
from extract.forward.taps import split_name
from extract.images.decoding import Decoded
from extract.images.recipes import Recipe, for_dataset, recipe_text
from extract.loading import Loaded, load
from extract.outcome import Made, made_row, record
from extract.pipeline import Lane, Output, Seconds, fill
from extract.ranks import local_device
from extract.reuse import Stored
from extract.stock import Stock, as_stored
from store.errors import BadImage, BadValue
from store.fingerprint import Fingerprint
from store.keys import FeatureKey, dataset_name
from store.moved import warn_if_moved
from store.root import Root, check_room, open_root
from store.runtime import Progress, rank, size, versions
from store.writer import BLOCK_ROWS, FeatureWriter, rows_of_block

log = logging.getLogger("extract")


@dataclass(frozen=True)
class Seen:
    """A backbone, where in it, and the view that it sees: one feature set a split."""

    net: Network
    tap: int
    recipe: Recipe
    name: str
    """Under which the features are stored."""


def run(config: ExtractConfig, *, orphans: bool = False) -> list[Made]:
    """Extract every (dataset, split, backbone, view) that is not in the store yet.

    With several ranks this rank's share and what it can help with; `orphans`: all that is missing (orphans.py).
    """
    root, start, seconds = open_root(config.store), time.perf_counter(), Seconds()
    made: list[Made] = []
    turn = rank()  # the next split begins where the ranks of this one end: short splits go to different ranks
    stock = Stock(root, config.dataset, config.data_root)
    for images, seen in work(root, config):
        stock.note(images)
        made += _extract(root, config, images, seen, seconds, None if orphans else turn % size())
        count = len(images.samples)
        turn -= -(-count // (config.block_rows or rows_of_block(count)))
    if any(row.extracted or row.reused for row in made):
        record(root, config, made, seconds, time.perf_counter() - start)
    return made


def networks(config: ExtractConfig) -> list[tuple[Network, list[str]]]:
    """Every backbone once, with the names of the feature sets that it makes: one a tap."""
    device = local_device(pick_device(config.device))  # a rank of torchrun has a GPU of its own
    asked: dict[str, list[str]] = {}
    for name in dict.fromkeys(config.backbone):
        asked.setdefault(split_name(name, config.backbones)[0], []).append(name)
    found = []
    for base, names in asked.items():
        again = partial(load, base, config.weights, config.weights_root, config.backbones)
        taps = [split_name(name, config.backbones)[1] for name in names]
        net = Network(again, device, config.precision, taps, config.compile)
        found.append((net, [net.loaded.name + name.removeprefix(base) for name in names]))
        if not net.loaded.stated:
            _tell_guessed(net.loaded, config.dataset)
    return found


def _tell_guessed(loaded: Loaded, datasets: Sequence[str]) -> None:
    """Say what is done to the images of a network that does not say it itself, a line for each recipe."""
    for recipe in dict.fromkeys(for_dataset(loaded.recipe, dataset) for dataset in datasets):
        log.warning(
            "%s does not say how its images are prepared; they get %s. Another: net.recipe = NAME, in its function",
            loaded.name,
            recipe_text(recipe),
        )


def work(root: Root, config: ExtractConfig) -> Iterator[tuple[Images, list[Seen]]]:
    """Every split that is asked for, with what is to see it: as many backbones at a time as the memory holds."""
    packs = in_packs(networks(config), config.views, config.block_rows or BLOCK_ROWS)
    while packs:
        pack = packs.pop(0)  # nothing else holds it: its memory is free for the next one
        for dataset in config.dataset:
            seen = [
                Seen(net, tap, for_dataset(net.loaded.recipe, dataset).with_view(view, config.seed), name)
                for net, names in pack
                for tap, name in enumerate(names)
                for view in range(config.views)
            ]
            for split in config.split or splits_of(dataset, config.data_root):
                opened = open_dataset(dataset, split, config.data_root, allow_absent=config.skip_bad)
                if opened.samples.dataset not in DATASETS:  # named by a path
                    warn_if_moved(root, opened.samples)
                yield as_stored(root, opened), seen


def open_writer(root: Root, config: ExtractConfig, images: Images, seen: Seen, *, left: int = 0) -> FeatureWriter:
    """The feature set of one tap, split and view, in the precision class that its network stands at.

    `left` is how many images are to be forwarded; 0 where nothing is to be decided about compiling.
    """
    net, samples, loaded = seen.net, images.samples, seen.net.loaded
    fingerprint = Fingerprint(
        weights=loaded.weights_sha256,
        architecture=loaded.architecture,
        layer=net.taps[seen.tap].layer,
        pooling=net.taps[seen.tap].pools,
        recipe=seen.recipe.parts(),
        precision=net.precision,
        dtype=config.dtype,
        samples=samples.id,
    )
    key = FeatureKey(samples.dataset, samples.split, seen.name)
    batch_size = net.batch_size(config.batch_size)
    choices = {"batch_size": batch_size, "compiled": bool(left) and net.should_compile(seen.recipe, batch_size, left)}
    return FeatureWriter(
        root, key, fingerprint, samples, net.dims[seen.tap],
        choices=choices, block_rows=config.block_rows, backend=config.backend,
    )  # fmt: skip


def _extract(
    root: Root, config: ExtractConfig, images: Images, seen: Sequence[Seen], seconds: Seconds, turn: int | None
) -> list[Made]:
    """Bring every set of one split, one for each tap and view, to its commit, as far as it is this rank's work.

    `turn` is the rank's number for this split; None: all is its work.
    """
    made: dict[int, Made] = {}
    writers: dict[int, FeatureWriter] = {}
    lanes: dict[tuple[Network, Recipe, int, bool, int], Lane] = {}
    lane_of: dict[int, Lane] = {}
    for i, one in enumerate(seen):
        writer = open_writer(root, config, images, one)
        if not writer.committed:
            one.net.ready(images, one.recipe)
            writer = open_writer(root, config, images, one)  # the check may have changed the precision class
            if not writer.started:
                writer = open_writer(root, config, images, one, left=len(images.samples) // size())
        if writer.committed:
            writer.save_samples()
            made[i] = made_row(writer, one.recipe.view, None, 0, "complete")
            continue
        chosen = writer.choices  # by the first run
        sort = (one.net, one.recipe, chosen["batch_size"], chosen.get("compiled", False), writer.block_rows)
        if sort not in lanes:
            lanes[sort] = Lane([], one.recipe, _forward(images, *sort[:4]), chosen["batch_size"])
        stored = Stored(root, one.name, writer.fingerprint)
        lanes[sort].outputs.append(Output(writer, one.net.columns(one.tap), stored))
        writers[i], lane_of[i] = writer, lanes[sort]
    source = next(name for name in config.dataset if dataset_name(name) == images.samples.dataset)
    bad = 0
    for rows in {sort[-1] for sort in lanes}:  # one, unless an earlier version began a set in other blocks
        together = [lane for sort, lane in lanes.items() if sort[-1] == rows]
        bad = max(bad, _fill(config, images, together, seconds, turn))
    for i, lane in lane_of.items():
        net, recipe = seen[i].net, seen[i].recipe
        told = {
            "versions": versions(),
            "source": source,
            **({"flags": flags} if (flags := config.places()) else {}),
            **writers[i].choices,
            **net.cost(recipe),
            "reused_rows": lane.reused,
        }
        done = writers[i].commit(told, net.errors[seen[i].tap])
        made[i] = made_row(writers[i], recipe.view, lane, bad, "extracted" if done else "unfinished")
    return [made[i] for i in range(len(seen))]


def _forward(images: Images, net: Network, recipe: Recipe, batch_size: int, compiled: bool) -> Forward:
    return net.compiled(recipe, batch_size) if compiled else net.ready(images, recipe)


def _fill(config: ExtractConfig, images: Images, lanes: list[Lane], seconds: Seconds, turn: int | None) -> int:
    """Fill the missing blocks of all lanes; returns how many images of this rank could not be read."""
    samples = images.samples
    writers = [output.writer for lane in lanes for output in lane.outputs]
    check_room(writers[0].root, sum(missing_bytes(writer) for writer in writers))
    missing: set[int] = set().union(*(lane.missing() for lane in lanes))
    total = sum(len(lanes[0].rows(block)) for block in missing) // size()
    bad = 0
    with Progress(total, f"{samples.dataset}/{samples.split}") as progress:

        def on_sample(sample: Decoded) -> None:
            nonlocal bad
            if sample.bad:
                _bad_image(config, images, sample)
                bad += 1
            progress.update(1)

        claims = Claims(lanes, rank() if turn is None else turn, size(), orphans=turn is None)
        fill(images, lanes, claims, workers=config.workers, seconds=seconds, on_sample=on_sample)
    if bad == len(samples):
        raise BadValue(f"{writers[0].key}: not one of its {bad} images can be read; nothing is committed")
    return bad


def missing_bytes(writer: FeatureWriter) -> int:
    """What the blocks that are not there yet will take."""
    rows = sum(len(writer.rows(block)) for block in writer.missing())
    return rows * writer.dim * np.dtype(writer.fingerprint.dtype).itemsize


def _bad_image(config: ExtractConfig, images: Images, sample: Decoded) -> None:
    samples = images.samples
    where = f"{samples.dataset}/{samples.split}, row {sample.row}, {samples.ids[sample.row]!r}: {sample.bad}"
    if not config.skip_bad:
        raise BadImage(f"{where}. Mend or remove the image, or go on without it: --skip-bad")
    log.warning("skipped %s", where)
