"""From what the user asked for to a run of the loop, and what it leaves: a backbone, its head, a record."""

import importlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from extract import ranks
from extract.backbones import ALIASES, BACKBONES
from extract.forward.precision import pick_device
from extract.heads import keep_head
from extract.images.recipes import RECIPES, Recipe, for_dataset
from extract.images.transforms import input_size
from extract.models.foreign import measure_dim
from extract.trained import describe, folder_of, recipe_json
from extract.training.batches import TrainingData
from extract.training.classifier import Classifier, make_head, one_head
from extract.training.config import OBJECTIVES, TrainConfig
from extract.training.labelled import Labelled
from extract.training.loop import Job, train
from extract.training.orders import order_of
from extract.training.recipes import snapshot_epochs
from extract.training.run_folder import open_run, publish
from store.errors import BadValue
from store.keys import check_name
from store.records import Record, write_record
from store.root import open_root
from store.runtime import versions
from store.tables import text_table


@dataclass
class Trained:
    """What became of one run; a row of the table that a command prints."""

    name: str
    state: str
    """trained, or complete: nothing was to do."""
    epochs: int
    loss: float
    """Mean of the last epoch."""
    train_top1: float | None
    val_top1: float | None
    """Per cent; None: no labels, no such split."""
    seconds: float
    """Of this command."""
    folder: str


@dataclass(frozen=True, kw_only=True)
class Network:
    """What is trained, before it is built."""

    arch: str
    """By which extract/loading.py builds it again."""
    trunk: Callable[[], nn.Module]
    """(B, 3, H, W) -> (B, D); called once torch's generator is seeded."""
    recipe: Recipe
    """Its own image recipe."""
    made: dict[str, Any]
    """What else decides the weights, as JSON values: the command, parents, teachers."""
    classifies: bool = True
    """Whether the heads' answers are classes."""


def run(
    config: TrainConfig,
    network: Network,
    data: Labelled,
    *,
    objective: nn.Module | None = None,
    heads: Callable[[int], list[nn.Module]] | None = None,
    adapt: Callable[[TrainingData], TrainingData] = lambda data: data,
    keep: bool = True,
    adopted: bool = False,
) -> Trained:
    """Train one backbone, unless it is there already.

    Args:
        objective: instead of `config.objective`'s row of extract/training/losses.py.
        heads: D -> heads; None: one classifier for each target column.
        adapt: the last word on order, views and what else the batches hold.
        keep: leave a head and a record in the store.
        adopted: the run is there, as the winner of a grid, and has no record yet.
    """
    if "@" in config.name:
        raise BadValue(f"--name {config.name}: NAME@e10 is how snapshots are called; leave out the @")
    if config.name in BACKBONES or config.name in ALIASES:
        raise BadValue(f"--name {config.name}: a published backbone is called so; choose another")
    start, folder = time.perf_counter(), folder_of(check_name("backbone", config.name), config.backbones)
    recipe, images = config.training_recipe(), image_recipe(config, network.recipe)
    made = {**network.made, **_identity(config, network.arch, images, data)}
    device = ranks.local_device(pick_device(config.device))
    with ranks.joined(device):
        complete = open_run(folder, made, write=False)
        if not complete:
            torch.manual_seed(config.seed)
            trunk = network.trunk()
            dim = _dim(network.arch, trunk, images)
            order = order_of(config.objective, data.rows, data.groups, recipe.batch, config.seed)
            minimised = objective or _objective(config, len(data.group_names))
            ranks.wait()
            open_run(folder, made, write=ranks.rank() == 0)
            own = heads(dim) if heads else [make_head(recipe.head, dim, len(c), recipe.scale) for c in data.classes]
            net = Classifier(trunk, own)
            about = {
                "arch": network.arch, "dim": dim, "recipe": recipe_json(images), "head": recipe.head,
                "classes": list(data.classes[0]) if data.classes else [], "made": made, "versions": versions(),
            }  # fmt: skip
            rows = TrainingData(
                images=data.images, recipe=images, labels=data.labels, groups=data.groups, seed=config.seed,
                order=order,
            )  # fmt: skip
            job = Job(
                net=net, recipe=recipe, data=adapt(rows), folder=folder, device=device, val=data.val,
                objective=minimised,
                publish=lambda *kept: _publish(folder, net, recipe.epochs, about, network.classifies, *kept),
                snapshots=snapshot_epochs(recipe, config.snapshots), seed=config.seed, precision=config.precision,
                ema=config.ema, workers=config.workers, checkpoint_seconds=config.checkpoint_seconds,
            )  # fmt: skip
            _train(job)
    line = describe(folder)["log"]
    row = Trained(
        name=config.name,
        state="complete" if complete and not adopted else "trained",
        epochs=recipe.epochs,
        loss=line["loss"],
        train_top1=line.get("train_top1"),
        val_top1=line.get("val_top1"),
        seconds=time.perf_counter() - start,
        folder=str(folder),
    )
    if keep and ranks.first():
        _leave(config, row, data)
    return row


def _dim(arch: str, trunk: nn.Module, images: Recipe) -> int:
    try:
        return measure_dim(arch, trunk.eval(), images)
    except BadValue as error:
        size = input_size(images)
        raise BadValue(f"{arch} cannot see images of {size} pixels: give another --image-size ({error})") from error


def _train(job: Job) -> None:
    try:
        train(job)
    except torch.OutOfMemoryError as error:
        raise BadValue(
            f"{job.folder.name}: batches of {job.recipe.batch} do not fit into the memory of {job.device}; give a "
            "smaller --batch and another --name, or more processes (torchrun)"
        ) from error


def _objective(config: TrainConfig, num_groups: int) -> nn.Module:
    module, _, function = OBJECTIVES[config.objective].partition(":")
    made: nn.Module = getattr(importlib.import_module(f"extract.training.{module}"), function)(config, num_groups)
    return made


def image_recipe(config: TrainConfig, own: Recipe) -> Recipe:
    """What the run does to its images: what was asked for, else the training recipe's, else the network's own."""
    name = config.images or config.training_recipe().images
    recipe = RECIPES[name] if name else for_dataset(own, config.dataset)
    if config.image_size is None:
        return recipe
    size, before = config.image_size, recipe.crop or recipe.resize
    if isinstance(recipe.resize, int) and isinstance(before, int):
        return replace(recipe, crop=size if recipe.crop else None, resize=round(recipe.resize * size / before))
    if recipe.crop is not None and isinstance(recipe.resize, tuple):
        height, width = (round(side * size / recipe.crop) for side in recipe.resize)
        return replace(recipe, crop=size, resize=(height, width))
    return replace(recipe, resize=(size, size))


def _identity(config: TrainConfig, arch: str, images: Recipe, data: Labelled) -> dict[str, Any]:
    """What decides the weights of a run beside its network's past."""
    return {
        "arch": arch,
        "dataset": config.dataset,
        "split": data.images.samples.split,
        "samples": data.images.samples.id,
        "rows": len(data.rows),
        "target": list(config.target),
        "targets": data.targets,
        "group": config.group,
        "objective": config.objective,
        **({"penalty": config.penalty, "anneal": config.anneal} if config.objective == "vrex" else {}),
        "images": recipe_json(images),
        "training": {"recipe": config.recipe, **config.training_recipe().values()},
        "seed": config.seed,
        "snapshots": list(snapshot_epochs(config.training_recipe(), config.snapshots)),
        "ema": config.ema,
        "precision": config.precision,
    }


def _publish(
    folder: Path,
    net: Classifier,
    epochs: int,
    about: dict[str, Any],
    classifies: bool,
    after: int,
    state: dict[str, Tensor],
    line: dict[str, Any],
) -> None:
    """Write the backbone, or the snapshot after so many epochs."""
    parts = {part: {k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")}
             for part in ("trunk", "heads")}  # fmt: skip
    place = folder if after == epochs else folder / f"e{after}"
    alike = net.heads[:1] if len(about["made"]["target"]) == len(net.heads) else net.heads  # not those of other targets
    head = one_head(alike, parts["heads"]) if classifies else None
    publish(place, parts["trunk"], head, {**about, "epochs": after, "log": line})


def _leave(config: TrainConfig, row: Trained, data: Labelled) -> None:
    """The head in the store, under the backbone's name; the record of a run that did something."""
    root = open_root(config.store)
    if (Path(row.folder) / "head.safetensors").is_file():
        keep_head(root, config.name, config.backbones)
    if row.state == "trained":
        metrics = {key: value for key, value in asdict(row).items() if key != "seconds"}
        seconds = {"total": row.seconds}
        write_record(
            root, Record(kind="train", config=asdict(config), targets=data.targets, metrics=metrics, seconds=seconds)
        )


def print_rows(rows: Sequence[Trained], *, as_json: bool) -> None:
    """What a training command has to say on stdout: a table or one JSON document, from the first rank alone."""
    if ranks.first():
        print(json.dumps([asdict(row) for row in rows], indent=1) if as_json else trained_table(rows))


def trained_table(rows: Sequence[Trained]) -> str:
    def figure(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    cells = [
        (row.name, row.state, row.epochs, f"{row.loss:.4f}", figure(row.train_top1), figure(row.val_top1),
         f"{row.seconds:.0f}", row.folder)
        for row in rows
    ]  # fmt: skip
    return text_table(("backbone", "state", "epochs", "loss", "train top-1", "val top-1", "seconds", "folder"), cells)
