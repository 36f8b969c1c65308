"""`python -m extract.distill`: one network that learns what several know, under one head for each of them."""

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from extract.training.config import TrainConfig, add_flags, backbone_name, recipe_table, seeds, split_options
from store.errors import BadValue, UnknownName
from store.flags import Parser, names
from store.keys import dataset_name
from store.runtime import run_command

if TYPE_CHECKING:
    import torch
    from torch import nn

    from extract.loading import Loaded
    from extract.training.jobs import Trained
    from extract.training.labelled import Labelled
    from extract.training.teachers import Live, Stored
    from store.heads import StoredHead

log = logging.getLogger("extract")
LOSSES = ("kl", "hard", "features")
SOURCES = ("auto", "store", "live")


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Who teaches, and how."""

    student: str
    """An architecture."""
    teachers: tuple[str, ...]
    loss: str = "kl"
    """kl, hard or features: extract/training/losses.py."""
    temperature: float = 4.0
    """Of kl; between the 2.5 and 20 that Hinton et al. tried."""
    source: str = "auto"
    """store: the teachers' views must be stored; live: they are computed; auto: stored where they are."""
    heads: tuple[str, ...] = ()
    """Ids of stored heads, one a teacher; empty: those that come with the teachers."""


def build_parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="python -m extract.distill",
        description="Distil several backbones into one network: a head for each teacher. Views of the training images "
        "that the store has of every teacher (python -m extract --views 9) are not computed again.",
    )
    p.add_argument("--student", metavar="ARCH", help="architecture: resnet50, resnet18, conv4, ...")
    p.add_argument("--teachers", metavar="A,B,C", help="backbones by name, also a{0..2} and b*")
    p.add_argument("--loss", default=Lesson.loss, help="kl: soft answers; hard: their classes; features (%(default)s)")
    p.add_argument("--temperature", type=float, default=Lesson.temperature, metavar="T", help="of kl (%(default)s)")
    p.add_argument("--from", dest="source", default=Lesson.source, help="store, live, or auto: stored where they are")
    p.add_argument("--teacher-heads", type=names, default=(), metavar="ID,ID",
                   help="stored heads, one a teacher, as probe made them (the teachers' own)")  # fmt: skip
    p.add_argument("--seed", type=seeds, default=(0,), metavar="0..4", help="of start and order; one student each (0)")
    p.add_argument(
        "--name",
        type=backbone_name,
        help="of the student (ARCH-distillN-DATASET-sSEED); with several seeds -sSEED is added",
    )
    p.add_argument("--lr", type=float)
    p.add_argument("--weight-decay", type=float, metavar="λ", help="of mean loss + λ/2 |W|²")
    add_flags(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    options = vars(build_parser().parse_args(argv))
    as_json, listing = options.pop("json"), options.pop("list")
    if listing:
        print(recipe_table(as_json=as_json))
        return 0
    lesson, asked = _asked(options)

    from extract.forward.allocator import keep_memory

    keep_memory()
    from extract.training.jobs import print_rows

    print_rows([distill(lesson, config) for config in asked], as_json=as_json)
    return 0


def _asked(options: dict[str, Any]) -> tuple[Lesson, list[TrainConfig]]:
    """Raises UserError for what no run could use, before torch loads."""
    from extract.backbones import find_backbone, list_backbones
    from extract.models.architectures import ARCHITECTURES, find_architecture

    student, dataset = options.pop("student"), options["dataset"]
    teachers = list_backbones(options.pop("teachers") or "", options["backbones"])
    if not student or not teachers or not dataset:
        raise BadValue("--student, --teachers and --dataset are needed, as in  --student resnet18 --teachers a,b ...")
    lesson = Lesson(
        student=student, teachers=teachers, loss=options.pop("loss"), temperature=options.pop("temperature"),
        source=options.pop("source"), heads=options.pop("teacher_heads"),
    )  # fmt: skip
    if find_architecture(student) is None and not student.startswith(("torchvision:", "timm:")):
        raise UnknownName("architecture", student, ARCHITECTURES, "also torchvision:NAME, timm:NAME, resnet18w2")
    for flag, value, known in (("loss", lesson.loss, LOSSES), ("from", lesson.source, SOURCES)):
        if value not in known:
            raise UnknownName(f"--{flag}", value, known, f"one of: {', '.join(known)}")
    for name in teachers:
        find_backbone(name, options["backbones"])
    if not 0 < lesson.temperature <= 1e6:  # its square weighs the loss
        raise BadValue(f"--temperature {lesson.temperature:g}: must be above 0, and at most 1e+06")
    if lesson.heads and len(lesson.heads) != len(teachers):
        raise BadValue(f"--teacher-heads names {len(lesson.heads)} heads for {len(teachers)} teachers: one each")
    name, every = options.pop("name"), options.pop("seed")
    base = name or f"{student.replace(':', '-')}-distill{len(teachers)}-{dataset_name(dataset)}"
    several = len(every) > 1 or not name
    options["recipe"] = options["recipe"] or "distill"
    made = [split_options({**options, "seed": s, "name": f"{base}-s{s}" if several else base}) for s in every]
    return lesson, [TrainConfig(**one) for one in made]


def distill(lesson: Lesson, config: TrainConfig) -> "Trained":
    """Train one student."""
    from extract import ranks
    from extract.forward.precision import pick_device
    from extract.loading import build_network, load
    from extract.pretrain import own_recipe
    from extract.training.classifier import make_head
    from extract.training.jobs import Network, image_recipe, run
    from extract.training.teachers import Live, Stored

    device = ranks.local_device(pick_device(config.device))
    loaded = [load(name, backbones=config.backbones) for name in lesson.teachers]
    heads = [] if lesson.loss == "features" else teacher_heads(lesson, config, loaded)
    data = _open(config, [tuple(head.info["classes"]) for head in heads])
    own, recipe = own_recipe(lesson.student), config.training_recipe()
    images = image_recipe(config, own)
    stored = _stored(lesson, config, data, device, views=images.augment is not None)
    if stored is not None:
        stored.check_networks(loaded)
    features: Stored | Live = stored or Live(loaded, images, device, config.precision)
    if lesson.loss == "features":
        assert stored is not None
        objective, widths, kind = *_regression(stored), "linear"
    else:
        objective, widths, kind = *_distillation(lesson, features, heads, device), recipe.head
    made = {
        "command": "distill", "loss": lesson.loss, "temperature": lesson.temperature, "heads": list(lesson.heads),
        "teachers": [{"name": one.name, "weights": one.weights_sha256} for one in loaded],
        "views": len(stored.views) if stored else "live",
        "features": [part.manifest.fingerprint for x in stored.views for part in x.parts] if stored else [],
    }  # fmt: skip
    return run(
        config,
        Network(
            arch=lesson.student,
            trunk=lambda: build_network(lesson.student),
            recipe=own,
            made=made,
            classifies=lesson.loss != "features",
        ),
        data,
        objective=objective,
        heads=lambda dim: [make_head(kind, dim, width, recipe.scale) for width in widths],
        adapt=lambda rows: (
            replace(rows, views=len(features.views), seed=features.seed)
            if isinstance(features, Stored)
            else replace(rows, also=features.also)
        ),
    )


def _stored(
    lesson: Lesson, config: TrainConfig, data: "Labelled", device: "torch.device", *, views: bool
) -> "Stored | None":
    """The teachers' stored features, where they are wanted and there. Raises BadValue: they must be, and are not."""
    from extract.training.teachers import open_stored
    from store.root import open_root, store_flag

    root, split = open_root(config.store), data.images.samples.split
    stored = None
    if lesson.source != "live":
        stored = open_stored(root, config.dataset, data.images, lesson.teachers, device, views=views)
    if stored is None and (lesson.source == "store" or lesson.loss == "features"):
        raise BadValue(
            f"{root.url} has no views of {config.dataset}/{split} of all of {', '.join(lesson.teachers)}; run: "
            f"python -m extract --backbone {','.join(lesson.teachers)} --dataset {shlex.quote(config.dataset)} --split "
            f"{split} --views 9{store_flag(root)}"
        )
    return stored


def _regression(stored: "Stored") -> "tuple[nn.Module, list[int]]":
    """What learns the teachers' features, standardised by column; and how many each has."""
    import torch

    from extract.training.losses import Regression
    from store.moments import moments

    found = [moments(type(stored.views[0])([part])) for part in stored.views[0].parts]
    means = [torch.from_numpy(one.mean).float() for one in found]
    spreads = [torch.from_numpy(one.std).float().clamp_min(1e-6) for one in found]
    return Regression(stored, means, spreads), [len(mean) for mean in means]


def _distillation(
    lesson: Lesson, features: "Stored | Live", heads: "list[StoredHead]", device: "torch.device"
) -> "tuple[nn.Module, list[int]]":
    """What learns the teachers' answers; and of how many classes each speaks."""
    from extract.training.losses import Distillation
    from extract.training.teachers import Answers

    answers = Answers(features, heads, device)
    return Distillation(answers, lesson.loss, lesson.temperature), [len(head.weight) for head in heads]


def teacher_heads(lesson: Lesson, config: TrainConfig, loaded: "Sequence[Loaded]") -> "list[StoredHead]":
    """The teachers' classifiers. Raises UserError: a teacher has none, or the one named was trained on another."""
    from extract.heads import network_of, read_head
    from store.head_networks import compare_networks
    from store.heads import load_head
    from store.root import open_root

    if not lesson.heads:
        return [read_head(name, config.backbones) for name in lesson.teachers]
    found = [load_head(open_root(config.store), name) for name in lesson.heads]
    for name, head, teacher in zip(lesson.heads, found, loaded, strict=True):
        if head.arrays:
            raise BadValue(f"head {name} wants features that are prepared (l2), a teacher's are not: probe without")
        given = [network_of(teacher, str(head.info.get("dataset", "")))]
        compare_networks(f"head {name}", head.info, given, [f"the teacher {teacher.name}"], recipe=[True])
    return found


def _open(config: TrainConfig, classes: list[tuple[str, ...]]) -> "Labelled":
    """The training images; with labels, for the log, only where the teachers' classes are the labels'."""
    from extract.training.labelled import open_labelled

    if len(set(classes)) == 1 and classes[0]:
        try:
            data = open_labelled(config)
        except UnknownName:
            return open_labelled(config, columns=())
        if data.classes == (classes[0],):
            return data
    log.info("the teachers' classes are not the labels of %s: the log says no accuracy", config.dataset)
    return open_labelled(config, columns=())


if __name__ == "__main__":
    sys.exit(run_command("extract.distill", main))
