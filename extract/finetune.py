"""`python -m extract.finetune`: train a backbone on, or several as one joint trunk, on a dataset, under a new head."""

import argparse
import itertools
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from extract.backbones import list_backbones
from extract.training.config import TrainConfig, add_flags, backbone_name, recipe_table, split_options
from extract.training.recipes import TRAINING_RECIPES
from store.errors import BadValue
from store.flags import Parser, numbers
from store.keys import dataset_name
from store.runtime import run_command

if TYPE_CHECKING:
    from extract.loading import Loaded
    from extract.training.jobs import Network, Trained

log = logging.getLogger("extract")
RECIPE_OF = {"inat18": "finetune_inat18", "camelyon17": "wilds"}
"""Dataset -> training recipe where none is named; else `finetune_cifar`."""
MAX_NAME = 100
"""Longer names of what is fine-tuned are left to the user."""


def build_parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="python -m extract.finetune",
        description="Fine-tune backbones under a new head. A,B,C is one joint trunk ([init]cat); --backbone again is "
        "one more run. What is there is not trained again; a run that was stopped goes on.",
    )
    p.add_argument(
        "--backbone", action="append", metavar="A[,B,C]", help="what to start from, also a{0..2}; repeat: a run each"
    )
    p.add_argument("--name", type=backbone_name, help="of the backbone that is made (A-DATASET, A+B-DATASET)")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of head, order and crops (0)")
    p.add_argument(
        "--lr", type=numbers, metavar="0.01,0.05", help="several: a grid, chosen on val or on a fifth of train"
    )
    p.add_argument("--weight-decay", type=numbers, metavar="0,1e-4", help="λ of mean loss + λ/2 |W|²; several: a grid")
    p.add_argument("--grid", action="store_true", help="the learning rates and weight decays that upstream tried")
    p.add_argument("--objective", default="erm", metavar="NAME", help="what is minimised (erm)")
    add_flags(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    options = vars(build_parser().parse_args(argv))
    as_json, listing, every = (options.pop(name) for name in ("json", "list", "backbone"))
    if listing:
        print(recipe_table(as_json=as_json))
        return 0
    every = [list_backbones(text, options["backbones"]) for text in every or ()]
    if not all(every) or not every or not options["dataset"]:
        raise BadValue("--backbone and --dataset are needed, as in  --backbone swav_resnet50 --dataset cifar100")
    if options["name"] and len(every) > 1:
        raise BadValue(f"--name is for one run, not {len(every)}: leave it out, or give --backbone once")
    grid = options.pop("lr"), options.pop("weight_decay"), options.pop("grid")
    asked = [(parts, _config(parts, options)) for parts in every]

    from extract.forward.allocator import keep_memory

    keep_memory()
    from extract.training.jobs import print_rows

    print_rows([finetune(parts, config, *grid) for parts, config in asked], as_json=as_json)
    return 0


def _config(parts: tuple[str, ...], options: dict[str, Any]) -> TrainConfig:
    """Raises UserError: no such backbone, or no name for what comes of these."""
    from extract.backbones import find_backbone

    for name in parts:
        find_backbone(name, options["backbones"])
    name = "+".join(name.replace(":", "-").replace("@", ".") for name in parts) + f"-{dataset_name(options['dataset'])}"
    if not options["name"] and len(name) > MAX_NAME:
        raise BadValue(f"the name {name[:40]}... would be {len(name)} letters long: give a --name")
    recipe = options["recipe"] or RECIPE_OF.get(options["dataset"], "finetune_cifar")
    return TrainConfig(**split_options({**options, "name": options["name"] or name, "recipe": recipe}))


def finetune(
    parts: Sequence[str],
    config: TrainConfig,
    lrs: Sequence[float] | None = None,
    decays: Sequence[float] | None = None,
    whole: bool = False,
) -> "Trained":
    """Fine-tune the backbones `parts` jointly; of several learning rates and weight decays the best by val top-1.

    Without a val split a fifth of train chooses, and the best is trained again on all of it.
    """
    from extract import ranks
    from extract.trained import folder_of
    from extract.training.jobs import run
    from extract.training.labelled import hold_out, open_labelled
    from extract.training.run_folder import adopt

    row = TRAINING_RECIPES[config.recipe]
    members = [
        {"lr": lr, "weight_decay": decay}
        for lr, decay in itertools.product(
            lrs or (whole and row.lr_grid) or (row.lr,),
            decays or (whole and row.weight_decay_grid) or (row.weight_decay,),
        )
    ]
    network, data = _network(parts, config), open_labelled(config)
    configs = [replace(config, overrides={**config.overrides, **member}) for member in members]
    if len(members) == 1:
        return run(configs[0], network, data)
    folder, held = folder_of(config.name, config.backbones), hold_out(data) if data.val is None else data
    rows = []
    for one, member in zip(configs, members, strict=True):
        name = f"lr{member['lr']:g}-wd{member['weight_decay']:g}"
        rows.append(run(replace(one, name=name, backbones=str(folder / "grid")), network, held, keep=False))
        log.info("%s, %s: val top-1 %.2f", config.name, name, rows[-1].val_top1)
    best = max(range(len(rows)), key=lambda index: rows[index].val_top1 or 0.0)
    new = data.val is not None and ranks.first() and adopt(folder, folder / "grid" / rows[best].name)
    return run(configs[best], network, data, adopted=new)


def _network(parts: Sequence[str], config: TrainConfig) -> "Network":
    from torch import nn

    from extract.backbones import find_backbone
    from extract.loading import load
    from extract.models.joint import SideBySide
    from extract.training.jobs import Network

    def loaded() -> "list[Loaded]":
        return [load(name, backbones=config.backbones) for name in parts]

    def trunk() -> nn.Module:  # read again for every member of a grid
        nets = [one.net.requires_grad_() for one in loaded()]
        return nets[0] if len(nets) == 1 else SideBySide(nets)

    first, *others = found = loaded()
    for other in others:
        if other.recipe != first.recipe and config.images is None:
            raise BadValue(
                f"{first.name} and {other.name} see their images differently, a joint trunk sees them once: "
                "name how with --images, a row of extract/images/recipes.py"
            )
    return Network(
        arch="+".join(find_backbone(name, config.backbones).arch for name in parts),
        trunk=trunk,
        recipe=first.recipe,
        made={"command": "finetune", "parents": [{"name": one.name, "weights": one.weights_sha256} for one in found]},
    )


if __name__ == "__main__":
    sys.exit(run_command("extract.finetune", main))
