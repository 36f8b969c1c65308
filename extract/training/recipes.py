"""How networks are trained, one row a recipe. Data and two plain functions: importing this imports no torch."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from store.errors import BadValue
from store.flags import check_number

OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("constant", "step", "cosine", "cyclic")
HEADS = ("linear", "cosine")
MOST_EPOCHS = 1_000_000
"""The most epochs, and the most images in a step."""


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """What is minimised how. Weight decay is λ of mean loss + λ/2 |W|², as torch.optim adds it."""

    epochs: int
    lr: float
    weight_decay: float
    batch: int
    """Images of a step, over all ranks; an epoch leaves out the last images that do not fill one."""
    optimizer: str = "sgd"
    momentum: float = 0.9
    """Of sgd; Adam has torch's defaults, 0.9 and 0.999."""
    nesterov: bool = False
    decay_norms: bool = True
    """Whether norms' scales and shifts decay too."""
    schedule: str = "constant"
    """Of the learning rate, an epoch at a time: constant; step: times gamma at each milestone; cosine: to nearly 0;
    cyclic: as often to 0 as there are snapshots."""
    milestones: tuple[float, ...] = ()
    """Parts of the epochs."""
    gamma: float = 0.1
    head: str = "linear"
    """linear, or cosine: distLinear of CloserLookFewShot, scale * g_c <x / |x|, v_c / |v_c|>."""
    scale: float | None = None
    """Of the cosine head; None: 2 up to 200 classes, 10 beyond, as upstream."""
    images: str = ""
    """A row of extract/images/recipes.py; empty: the architecture's own, as the dataset changes it."""
    lr_grid: tuple[float, ...] = ()
    weight_decay_grid: tuple[float, ...] = ()
    """What upstream tried: `--grid`."""
    source: str = ""

    def __post_init__(self) -> None:
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("head", HEADS)):
            if (value := getattr(self, name)) not in known:
                raise BadValue(f"--{name} {value!r}: one of {', '.join(known)}")
        for name in ("epochs", "batch"):
            check_number(f"--{name}", getattr(self, name), 1, MOST_EPOCHS)
        if self.scale is not None:
            check_number("--scale", self.scale, 1e-6, 1e6)
        if not (self.lr > 0 and math.isfinite(self.lr)) or not (
            self.weight_decay >= 0 and math.isfinite(self.weight_decay)
        ):
            raise BadValue(
                f"--lr {self.lr:g}, --weight-decay {self.weight_decay:g}: a positive number, and one not below 0"
            )

    def values(self) -> dict[str, Any]:
        """What decides the weights, as JSON values."""
        values = asdict(self)
        for name in ("lr_grid", "weight_decay_grid", "source", "images"):
            del values[name]
        return {**values, "milestones": list(self.milestones)}


_CIFAR = TrainingRecipe(
    epochs=100, lr=0.01, weight_decay=5e-4, batch=256, schedule="cosine", decay_norms=False,
    lr_grid=(0.005, 0.01, 0.05), weight_decay_grid=(0.0, 1e-5, 1e-4, 5e-4),
    source="TjuJianyu/RRL scripts/supervised_pretrain/to_cifar/fine-tuning (lr 0.01 for 100 epochs 'good enough')",
)  # fmt: skip

TRAINING_RECIPES: dict[str, TrainingRecipe] = {
    "imagenet": TrainingRecipe(
        epochs=90, lr=0.1, weight_decay=1e-4, batch=256, schedule="step", milestones=(1 / 3, 2 / 3),
        source="TjuJianyu/RRL scripts/supervised_pretrain/*.sh",
    ),
    "fewshot": TrainingRecipe(
        epochs=400, lr=1e-3, weight_decay=0.0, batch=16, optimizer="adam",
        source="wyharveychen/CloserLookFewShot train.py: Baseline (200 epochs on CUB); with --head cosine Baseline++",
    ),
    "fewshot_sgd": TrainingRecipe(
        epochs=400, lr=0.1, weight_decay=1e-3, batch=16, schedule="step", milestones=(0.25, 0.5, 0.75), scale=30.0,
        head="cosine",
        source="wyharveychen/CloserLookFewShot issue 12: nearest to the figures of the paper; the batch is train.py's",
    ),
    "wilds": TrainingRecipe(
        epochs=10, lr=1e-3, weight_decay=0.01, batch=32,
        source="p-lambda/wilds examples/configs/datasets.py, camelyon17 (ERM)",
    ),
    "finetune_cifar": _CIFAR,
    "finetune_inat18": TrainingRecipe(
        epochs=100, lr=0.01, weight_decay=1e-5, batch=256, schedule="cosine", decay_norms=False,
        lr_grid=(0.005, 0.01, 0.05), weight_decay_grid=(1e-6, 1e-5, 1e-4),
        source="TjuJianyu/RRL scripts/supervised_pretrain/to_inat18/fine-tuning (50 and 100 epochs)",
    ),
    "distill": TrainingRecipe(
        epochs=90, lr=0.1, weight_decay=1e-4, batch=256, schedule="cosine",
        source="ours: upstream published no recipe; pretraining's with a cosine schedule",
    ),
    "small": TrainingRecipe(
        epochs=20, lr=0.1, weight_decay=5e-4, batch=64, schedule="cosine", nesterov=True, images="small_32",
        source="ours: 32 px on a CPU (make reproduce)",
    ),
}  # fmt: skip
"""Sources: TjuJianyu/RRL scripts, CloserLookFewShot, WILDS; docs/TRAINING.md says what differs."""

FINAL_LR = 1e-7
"""Where upstream's cosine ends."""


def learning_rate(recipe: TrainingRecipe, epoch: int, cycles: int) -> float:
    """The learning rate of an epoch; `cycles`: how often `cyclic` comes down to 0 (Huang et al. 2017, by epochs)."""
    if recipe.schedule == "step":
        return recipe.lr * recipe.gamma ** sum(epoch >= round(part * recipe.epochs) for part in recipe.milestones)
    if recipe.schedule == "cosine":
        return FINAL_LR + (recipe.lr - FINAL_LR) * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
    if recipe.schedule == "cyclic":
        length = math.ceil(recipe.epochs / max(1, cycles))
        return recipe.lr * (1 + math.cos(math.pi * (epoch % length) / length)) / 2
    return recipe.lr


def snapshot_epochs(recipe: TrainingRecipe, count: int) -> tuple[int, ...]:
    """After how many epochs snapshots are taken: cyclic: at the end of each cycle; else evenly over the second half.

    The paper says "five snapshots of one episode with a relatively high step size", and not which.
    """
    if count == 0:
        return ()
    length = math.ceil(recipe.epochs / count)
    if recipe.schedule == "cyclic":
        found = [min(recipe.epochs, length * (index + 1)) for index in range(count)]
    else:
        found = [round(recipe.epochs * (count + index + 1) / (2 * count)) for index in range(count)]
    if len(set(found)) < count:
        raise BadValue(f"--snapshots {count} of {recipe.epochs} epochs: too many; give more --epochs")
    return tuple(found)
