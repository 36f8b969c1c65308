"""`python -m extract.bonsai`: discover several ways to be right, then learn them all in one network.

Round 0 is ERM. Each later round is groupDRO over the groups that earlier networks get right and wrong; every network
has its own copy of the images, split in two. Synthesis: one network with a head for each round, each on its network's
hard answers as labels, batches half of images that all get right and half of others; at the end the heads are averaged.
Source: Zhang, Lopez-Paz and Bottou, "Rich feature construction for the optimization-generalization dilemma" (2022),
with the settings of TjuJianyu/RFC scripts/camelyon17: weight decay 0.01; in synthesis twice the epochs and 1e-6.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from extract.pretrain import configs
from extract.training.config import TrainConfig, add_flags, backbone_name, recipe_table, seeds
from store.errors import BadValue
from store.flags import Parser
from store.keys import dataset_name
from store.runtime import run_command

if TYPE_CHECKING:
    import numpy as np

    from extract.training.batches import TrainingData
    from extract.training.jobs import Trained
    from extract.training.labelled import Labelled

SYNTHESIS_WEIGHT_DECAY = 1e-6
SYNTHESIS_EPOCHS = 2
"""Times those of a round."""


MOST_ROUNDS = 1000
"""Of discovery; the paper has two."""


def build_parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="python -m extract.bonsai",
        description="Make one backbone out of several rounds of discovery: NAME.r0 (ERM), NAME.r1 (groupDRO over what "
        "NAME.r0 gets right and wrong), ..., and NAME, which learns all of them. What is there is not trained again.",
    )
    p.add_argument("--arch", metavar="NAME", help="densenet121, resnet18, ...")
    p.add_argument("--rounds", type=int, default=2, metavar="N", help="of discovery, ERM among them (%(default)s)")
    p.add_argument("--seed", type=seeds, default=(0,), metavar="0..4", help="one backbone each (0)")
    p.add_argument(
        "--name",
        type=backbone_name,
        help="of the backbone (ARCH-bonsaiN-DATASET-sSEED); with several seeds -sSEED is added",
    )
    p.add_argument("--lr", type=float)
    p.add_argument("--weight-decay", type=float, metavar="λ", help="of discovery; synthesis has 1e-6")
    add_flags(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    options = vars(build_parser().parse_args(argv))
    as_json, listing, rounds = (options.pop(name) for name in ("json", "list", "rounds"))
    if listing:
        print(recipe_table(as_json=as_json))
        return 0
    if rounds < 2:
        raise BadValue(f"--rounds {rounds}: at least 2; one round is python -m extract.pretrain")
    if rounds > MOST_ROUNDS:
        raise BadValue(f"--rounds: at most {MOST_ROUNDS}, each trains a network")
    if options["group"] or len(options["target"]) > 1:
        raise BadValue("extract.bonsai finds its groups itself and has one --target: leave out --group")
    arch, every = options["arch"], options["seed"]
    if not options["name"] and arch and options["dataset"]:
        base = f"{arch.replace(':', '-')}-bonsai{rounds}-{dataset_name(options['dataset'])}"
        options["name"] = base if len(every) > 1 else f"{base}-s{every[0]}"
    asked = configs(options)

    from extract.forward.allocator import keep_memory

    keep_memory()
    from extract.training.jobs import print_rows

    print_rows([row for config in asked for row in bonsai(arch, config, rounds)], as_json=as_json)
    return 0


def bonsai(arch: str, config: TrainConfig, rounds: int) -> "list[Trained]":
    """Every round, then the synthesis under `config.name`.

    Raises: BadValue: the networks so far get every image right, or none: there is nothing to discover.
    """
    from extract.loading import build_network
    from extract.pretrain import own_recipe, pretrain
    from extract.training.group_losses import GroupDro
    from extract.training.jobs import Network, run
    from extract.training.labelled import open_labelled
    from extract.training.orders import order_of

    data, names = open_labelled(config), [f"{config.name}.r{k}" for k in range(rounds)]
    network = Network(arch=arch, trunk=lambda: build_network(arch), recipe=own_recipe(arch), made={})

    def after(command: str, parents: Sequence[str]) -> Network:
        return replace(network, made={"command": command, "parents": _weights(parents, config)})

    recipe = config.training_recipe()
    made = [pretrain(arch, replace(config, name=names[0]))]
    answers = [answers_of(names[0], data, config)]
    for name in names[1:]:
        made.append(
            run(
                replace(config, name=name, objective="groupdro"),
                after("bonsai discovery", names[: len(answers)]),
                copies(data, answers, names),
                objective=GroupDro(2 * len(answers)),
                adapt=partial(_first_steps, steps=max(1, len(data.rows) // recipe.batch)),
            )
        )
        answers.append(answers_of(name, data, config))
    synthesis = {"epochs": SYNTHESIS_EPOCHS * recipe.epochs, "weight_decay": SYNTHESIS_WEIGHT_DECAY}
    config = replace(config, overrides={**config.overrides, **synthesis})
    found = taught(data, answers)
    order = order_of("vrex", found.rows, found.groups, recipe.batch, config.seed)
    last = run(config, after("bonsai synthesis", names), found, adapt=lambda rows: replace(rows, order=order))
    return [*made, last]


def _first_steps(rows: "TrainingData", steps: int) -> "TrainingData":
    """Epochs of so many steps: copies make none longer."""
    return replace(rows, order=lambda epoch: rows.order(epoch)[:steps])


def _weights(names: Sequence[str], config: TrainConfig) -> list[dict[str, str]]:
    from extract.trained import describe, folder_of

    return [{"name": n, "weights": describe(folder_of(n, config.backbones))["weights_sha256"]} for n in names]


def answers_of(name: str, data: "Labelled", config: TrainConfig) -> "np.ndarray":
    """(N,) int64: the class that a trained backbone answers for each image that is trained on, on evaluation crops;
    -1 elsewhere.
    """
    import torch

    from extract import ranks
    from extract.forward.precision import pick_device
    from extract.images.transforms import normalise
    from extract.loading import load, load_head
    from extract.training.batches import evaluation

    loaded = load(name, backbones=config.backbones)
    device = ranks.local_device(pick_device(config.device))
    weight, bias = load_head(name, backbones=config.backbones)
    if bias is None:
        raise BadValue(f"{name} has a cosine head: extract.bonsai averages linear ones, leave out --head cosine")
    net, weight_CD, bias_C = (
        loaded.net.to(device),
        torch.from_numpy(weight).to(device),
        torch.from_numpy(bias).to(device),
    )
    chosen = torch.full((len(data.images.samples),), -1, dtype=torch.int64)
    with torch.no_grad(), ranks.joined(device):
        found = torch.zeros(len(chosen), dtype=torch.int64, device=device)
        batch = config.training_recipe().batch
        for rows, pixels in evaluation(data.images, data.rows, loaded.recipe, batch, config.workers):
            logits = net(normalise(pixels.to(device), loaded.recipe)).float() @ weight_CD.T + bias_C
            found[torch.from_numpy(rows).to(device)] = logits.argmax(1)
        found = ranks.add(found).cpu()
    rows_N = torch.from_numpy(data.rows)
    chosen[rows_N] = found[rows_N]
    return chosen.numpy()


def copies(data: "Labelled", answers: Sequence[Any], names: Sequence[str]) -> "Labelled":
    """The images once for each network: groups 2i and 2i + 1 are what network i gets right and wrong."""
    import numpy as np
    import torch

    from extract.datasets.common import Images

    count, n = len(data.images.samples), len(answers)
    label_N = data.labels[:, 0].numpy()
    wrong = [answer != label_N for answer in answers]
    for name, one in zip(names, wrong, strict=False):
        if one[data.rows].all() or not one[data.rows].any():
            what = "wrong" if one[data.rows].all() else "right"
            raise BadValue(
                f"{name} gets all {len(data.rows)} training images {what}: no two groups to go on with. Give other "
                "--epochs, --lr or --weight-decay, and another --name"
            )
    images = data.images
    samples = images.samples.take(np.tile(np.arange(count), n))
    groups = np.concatenate([2 * i + one for i, one in enumerate(wrong)])
    return replace(
        data,
        images=Images(samples, lambda row: images.read(row % count), top=images.top),
        rows=np.concatenate([data.rows + i * count for i in range(n)]),
        labels=data.labels.repeat(n, 1),
        groups=torch.from_numpy(groups.astype(np.int64)),
        group_names=tuple(f"{name}:{what}" for name in names[:n] for what in ("right", "wrong")),
    )


def taught(data: "Labelled", answers: Sequence[Any]) -> "Labelled":
    """Labels are the networks' answers, a column and a head each; group 1 is what all of them get right."""
    import numpy as np
    import torch

    right = np.all([answer == data.labels[:, 0].numpy() for answer in answers], axis=0)
    if not right[data.rows].any():
        raise BadValue(f"no training image is right in all {len(answers)} rounds: train the rounds longer, --epochs")
    return replace(
        data,
        labels=torch.from_numpy(np.stack(answers, 1)),
        classes=data.classes * len(answers),
        groups=torch.from_numpy(right.astype(np.int64)),
        group_names=("not all right", "all right"),
    )


if __name__ == "__main__":
    sys.exit(run_command("extract.bonsai", main))
