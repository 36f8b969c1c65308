"""The flags that pretraining, fine-tuning and distillation share. Imports no torch, so that --help answers at once."""

import argparse
from dataclasses import dataclass, field, replace
from typing import Any

from extract.config import PRECISIONS
from extract.datasets import default_data_root, find_dataset
from extract.images.recipes import RECIPES
from extract.trained import default_root as default_backbones
from extract.training.recipes import (
    HEADS,
    MOST_EPOCHS,
    OPTIMIZERS,
    SCHEDULES,
    TRAINING_RECIPES,
    TrainingRecipe,
    snapshot_epochs,
)
from store.errors import BadValue, UnknownName
from store.flags import check_number, names
from store.keys import check_name
from store.root import default_root
from store.runtime import default_workers
from store.tables import table_or_json

MOST_PIXELS, MOST_WORKERS, MOST_RUNS, MOST_SEED = 16_384, 1024, 1000, 2**63 - 1
"""The largest side of a crop, number of decoding threads, number of seeds in one command, and seed that torch takes."""
OVERRIDES = ("epochs", "lr", "weight_decay", "batch", "optimizer", "schedule", "head", "scale")
"""Fields of a training recipe that a flag may change."""

OBJECTIVES: dict[str, str] = {
    "erm": "losses:cross_entropy",
    "vrex": "group_losses:make_vrex",
    "groupdro": "group_losses:make_groupdro",
}
"""Name -> `module:function` below extract/training: (TrainConfig, number of groups) -> the module that is minimised."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    dataset: str
    name: str
    """Of the backbone that is made."""
    recipe: str
    """A row of extract/training/recipes.py."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Fields of the recipe that flags changed."""
    data_root: str = field(default_factory=default_data_root)
    train: str | None = None
    """Split; None: `base` where the dataset has it, else `train`."""
    val: str | None = None
    """Split; None: `val` where the dataset has it; `none`: no validation."""
    target: tuple[str, ...] = ("label",)
    """Target columns, a head each."""
    group: str | None = None
    """Target column with the groups that an objective or an order may ask for."""
    objective: str = "erm"
    penalty: float = 100.0
    """Of vrex; 100 and 500 are the defaults of TjuJianyu/RFC."""
    anneal: int = 500
    """Of vrex: steps before the penalty counts."""
    seed: int = 0
    images: str | None = None
    """A row of extract/images/recipes.py; None: the training recipe's, else the architecture's own."""
    image_size: int | None = None
    snapshots: int = 0
    ema: float | None = None
    precision: str = "auto"
    device: str = "auto"
    workers: int = field(default_factory=default_workers)
    checkpoint_seconds: float = 300.0
    backbones: str = field(default_factory=default_backbones)
    store: str = field(default_factory=default_root)

    def __post_init__(self) -> None:
        find_dataset(self.dataset, self.data_root)
        if self.recipe not in TRAINING_RECIPES:
            raise UnknownName("training recipe", self.recipe, TRAINING_RECIPES, "--list shows all")
        if self.objective not in OBJECTIVES:
            raise UnknownName("objective", self.objective, OBJECTIVES, f"there are: {', '.join(OBJECTIVES)}")
        if self.images is not None and self.images not in RECIPES:
            raise UnknownName("image recipe", self.images, RECIPES, f"one of: {', '.join(RECIPES)}")
        check_name("backbone", self.name)
        if not self.target:
            raise BadValue("--target names no column: give one or more, as --target label")
        if self.image_size is not None:
            check_number("--image-size", self.image_size, 8, MOST_PIXELS)
        if self.ema is not None and not 0 < self.ema < 1:
            raise BadValue(f"--ema {self.ema:g}: a number between 0 and 1, such as 0.999")
        check_number("--penalty", self.penalty, 0, 1e30)
        check_number("--workers", self.workers, 1, MOST_WORKERS)
        check_number("--snapshots", self.snapshots, 0, MOST_EPOCHS)
        check_number("--seed", self.seed, 0, MOST_SEED)
        check_number("--anneal", self.anneal, 0, MOST_SEED)
        check_number("--checkpoint-seconds", self.checkpoint_seconds, 0, 1e9)
        snapshot_epochs(self.training_recipe(), self.snapshots)

    def training_recipe(self) -> TrainingRecipe:
        return replace(TRAINING_RECIPES[self.recipe], **self.overrides)


def add_flags(p: argparse.ArgumentParser) -> None:
    """The flags of `TrainConfig`."""
    data = p.add_argument_group("data")
    data.add_argument("--dataset", metavar="NAME", help="a name, folder:PATH or csv:FILE")
    data.add_argument(
        "--data-root", default=default_data_root(), metavar="DIR", help="where the datasets lie (%(default)s)"
    )
    data.add_argument("--train", metavar="SPLIT", help="to train on (base where the dataset has it, else train)")
    data.add_argument(
        "--val", metavar="SPLIT", help="to score every epoch (val where the dataset has it); none: no split"
    )
    data.add_argument(
        "--target", type=names, default=("label",), metavar="A,B", help="target columns, a head each (label)"
    )
    data.add_argument("--group", metavar="COLUMN", help="target column with each sample's group")
    data.add_argument("--images", metavar="RECIPE", help="how images are prepared: a row of extract/images/recipes.py")
    data.add_argument("--image-size", type=int, metavar="PX", help="another crop size, resized in proportion")
    how = p.add_argument_group("training")
    how.add_argument("--recipe", metavar="NAME", help="training recipe; --list shows all")
    how.add_argument("--epochs", type=int, metavar="N")
    how.add_argument("--batch", type=int, metavar="N", help="images of a step, over all ranks")
    how.add_argument("--optimizer", choices=OPTIMIZERS)
    how.add_argument("--schedule", choices=SCHEDULES, help="of the learning rate")
    how.add_argument("--head", choices=HEADS)
    how.add_argument("--scale", type=float, metavar="S", help="of the cosine head")
    how.add_argument("--penalty", type=float, metavar="X", help="of vrex, on the variance of the groups' risks (100)")
    how.add_argument("--anneal", type=int, metavar="N", help="of vrex: steps before the penalty counts (500)")
    how.add_argument("--snapshots", type=int, default=0, metavar="N", help="keep N snapshots of the run: NAME@e10")
    how.add_argument("--ema", type=float, metavar="DECAY", help="keep the moving average of the weights")
    run = p.add_argument_group("the run")
    run.add_argument("--precision", choices=PRECISIONS, default="auto", help="auto: bf16 or fp16 on a GPU, else fp32")
    run.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (auto)")
    run.add_argument("--workers", type=int, metavar="N", help="decoding threads")
    run.add_argument("--checkpoint-seconds", type=float, default=300.0, metavar="S", help="between checkpoints (300)")
    run.add_argument(
        "--backbones", default=default_backbones(), metavar="DIR", help="where backbones are kept (%(default)s)"
    )
    run.add_argument("--store", default=default_root(), help="where the record and the head go (%(default)s)")
    run.add_argument("--json", action="store_true", help="print one JSON document")
    run.add_argument("--list", action="store_true", help="list the training recipes")


def split_options(options: dict[str, Any]) -> dict[str, Any]:
    """The parsed flags as fields of `TrainConfig`: what changes the recipe goes into `overrides`; None is left out."""
    given = {key: value for key, value in options.items() if value is not None}
    overrides = {key: given.pop(key) for key in OVERRIDES if key in given}
    return {**given, "overrides": overrides}


def recipe_table(*, as_json: bool) -> str:
    rows = [
        (name, row.epochs, row.batch, row.optimizer, f"{row.lr:g}", f"{row.weight_decay:g}", row.schedule, row.head,
         row.source)
        for name, row in TRAINING_RECIPES.items()
    ]  # fmt: skip
    header = ("recipe", "epochs", "batch", "optimizer", "lr", "weight decay", "schedule", "head", "source")
    return table_or_json(header, rows, as_json=as_json)


def seeds(text: str) -> tuple[int, ...]:
    """`3`, `0,1,2` or `0..9`."""
    found: list[int] = []
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        if not first.isdecimal() or (dots and not last.isdecimal()):
            raise argparse.ArgumentTypeError(f"{text!r} is not a seed such as 3, 0,1,2 or 0..9")
        if max(len(first), len(last)) > len(str(MOST_SEED)) or int(last or first) > MOST_SEED:
            raise argparse.ArgumentTypeError(f"{text!r}: a seed is at most {MOST_SEED}")
        if int(last or first) - int(first) + len(found) >= MOST_RUNS:
            raise argparse.ArgumentTypeError(f"{text!r} are more than {MOST_RUNS} seeds, a training run each")
        found += range(int(first), int(last if dots else first) + 1)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed at all: the smaller number comes first, as in 0..9")
    return tuple(dict.fromkeys(found))


def backbone_name(text: str) -> str:
    """The text of --name, which becomes a folder: 1 to 128 letters, digits and `. _ @ : + = -`."""
    try:
        return check_name("backbone", text)
    except BadValue as error:
        raise argparse.ArgumentTypeError(str(error)) from None
