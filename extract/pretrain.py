"""`python -m extract.pretrain`: train a network from scratch, once for each seed; each becomes a backbone by name."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from extract.training.config import TrainConfig, add_flags, backbone_name, recipe_table, seeds, split_options
from store.errors import BadValue, UnknownName
from store.flags import Parser
from store.keys import dataset_name
from store.runtime import run_command

if TYPE_CHECKING:
    from extract.images.recipes import Recipe
    from extract.training.jobs import Trained

RECIPE_OF = {"camelyon17": "wilds", "miniimagenet": "fewshot", "cub": "fewshot"}
"""Dataset -> training recipe where none is named; else `imagenet`."""


def build_parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="python -m extract.pretrain",
        description="Train networks from scratch, one for each seed. Each becomes a backbone: "
        "python -m extract --backbone NAME. What is there is not trained again; a run that was stopped goes on.",
    )
    p.add_argument("--arch", metavar="NAME", help="resnet50, resnet18w0.5, 2resnet50 (two trained jointly), conv4, "
                   "densenet121, torchvision:NAME, ...")  # fmt: skip
    p.add_argument("--seed", type=seeds, default=(0,), metavar="0..9", help="starts, orders and crops all differ (0)")
    p.add_argument(
        "--name", type=backbone_name, help="of the backbone (ARCH-DATASET-sSEED); with several seeds -sSEED is added"
    )
    p.add_argument("--lr", type=float)
    p.add_argument("--weight-decay", type=float, metavar="λ", help="of mean loss + λ/2 |W|²")
    p.add_argument("--objective", default="erm", metavar="NAME", help="what is minimised (erm)")
    add_flags(p)
    return p


def configs(options: dict[str, Any]) -> list[TrainConfig]:
    """One for each seed. Raises `BadValue`, `UnknownName`."""
    from extract.models.architectures import ARCHITECTURES, find_architecture

    arch, name, every = options.pop("arch"), options.pop("name"), options.pop("seed")
    if not arch or not options["dataset"]:
        raise BadValue("--arch and --dataset are needed, as in  --arch resnet18 --dataset folder:PATH (or --list)")
    if find_architecture(arch) is None and not arch.startswith(("torchvision:", "timm:")):
        raise UnknownName(
            "architecture", arch, ARCHITECTURES, "also torchvision:NAME, timm:NAME, resnet18w2, 2resnet50"
        )
    options["recipe"] = options["recipe"] or RECIPE_OF.get(options["dataset"], "imagenet")
    base = name or f"{arch.replace(':', '-')}-{dataset_name(options['dataset'])}"
    several = len(every) > 1 or not name
    return [
        TrainConfig(**split_options({**options, "seed": s, "name": f"{base}-s{s}" if several else base})) for s in every
    ]


def main(argv: Sequence[str] | None = None) -> int:
    options = vars(build_parser().parse_args(argv))
    as_json, listing = options.pop("json"), options.pop("list")
    if listing:
        print(recipe_table(as_json=as_json))
        return 0
    arch = options["arch"]
    asked = configs(options)

    from extract.forward.allocator import keep_memory

    keep_memory()
    from extract.training.jobs import print_rows

    print_rows([pretrain(arch, config) for config in asked], as_json=as_json)
    return 0


def pretrain(arch: str, config: TrainConfig) -> "Trained":
    """Train one network."""
    from extract.loading import build_network
    from extract.training.jobs import Network, run
    from extract.training.labelled import open_labelled

    made = {"command": "pretrain"}
    network = Network(arch=arch, trunk=lambda: build_network(arch), recipe=own_recipe(arch), made=made)
    return run(config, network, open_labelled(config))


def own_recipe(arch: str) -> "Recipe":
    """How an architecture's images are prepared where nobody says otherwise."""
    from extract.images.recipes import RECIPES
    from extract.models.architectures import find_architecture
    from extract.models.foreign import build_foreign

    row = find_architecture(arch)
    return RECIPES[row.recipe] if row else build_foreign(arch, given=True).recipe


if __name__ == "__main__":
    sys.exit(run_command("extract.pretrain", main))
