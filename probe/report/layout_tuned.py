"""Fine-tuning: [init] is one joint run from all networks, [2ft] tunes each alone and then a head from their average."""

import shlex
from collections.abc import Sequence

from probe.report.layout import Entry, Section
from probe.report.layout_linear import (
    CIFAR10,
    CIFAR100,
    IMAGENET,
    INAT,
    PAPER_PROBE,
    SWAV,
    extraction,
    runs,
    scored,
    test_flag,
)

TARGETS = (CIFAR10, CIFAR100, INAT)
_ONE = {
    "ERM/RESNET50": runs(1)[0],
    "ERM/RESNET50W2": "supervised_resnet50w2",
    "ERM/RESNET50W4": "supervised_resnet50w4",
    "ERM/2xRESNET50": "supervised_2resnet50",
    "ERM/4xRESNET50": "supervised_4resnet50",
    "DISTILL5/RESNET50": "supervised_resnet50_distill5",
}
"""The paper's row -> the network that is fine-tuned."""
_CATS = {f"CAT{n}/{n}xRESNET50": runs(n) for n in (2, 4, 5, 10)}


def supervised() -> list[Section]:
    every = {**{row: (name,) for row, name in _ONE.items()}, **_CATS}
    sub = {f"cat{n}_sub": runs(n) for n in (2, 4, 5, 10)}
    kinds = (
        ("fine-tuning from these networks, [init]", "supervised_finetune_[init]", _joint, every),
        ("two-stage fine-tuning, [2ft]", "supervised_twostage_[2ft]", _staged, _CATS),
        ("two-stage fine-tuning, networks averaged (cat^sub)", "supervised_twostage_sub", _averaged, sub),
    )
    return [
        Section(
            title=f"Supervised, {title}",
            entries=[make(experiment, row, names, data) for row, names in rows.items() for data in TARGETS],
        )
        for title, experiment, make, rows in kinds
    ]


def swav() -> Section:
    wide = {f"rn50w{w}_init": (f"swav_resnet50w{w}",) for w in (2, 4, 5)}
    joint: dict[str, tuple[str, ...]] = {"rn50": SWAV[:1], **wide, **{f"cat{n}_init": SWAV[:n] for n in (2, 5, 7)}}
    return Section(title="SWAV, fine-tuning", entries=[
        *(_joint("swav_finetune", row, names, IMAGENET) for row, names in joint.items()),
        *(_staged("swav_finetune", f"cat{n}_2ft", SWAV[:n], IMAGENET) for n in (2, 5, 7, 8)),
    ])  # fmt: skip


def seer() -> Section:
    tuned = tuple(f"seer_regnet{size}gf_finetuned" for size in (32, 64, 128, 256))
    rows: list[tuple[str, Sequence[str]]] = [
        *((f"rg{size}", (name,)) for size, name in zip((32, 64, 128, 256), tuned, strict=True)),
        *((f"cat{n}_2ft", tuned[:n]) for n in (2, 3, 4)),
    ]
    entries = [_published("seer_finetune_384px", row, names) for row, names in rows]
    return Section(title="SEER, fine-tuned at 384 px", entries=entries)


def vit() -> list[Section]:
    sections = []
    for family, year in (("vit", "2020"), ("vitaugreg", "2021, AugReg")):
        base, large = f"{family}_b16_in21k_in1k", f"{family}_l16_in21k_in1k"
        rows: dict[str, tuple[str, ...]] = {"B16": (base,), "L16": (large,), "cat2_2ft": (base, large)}
        entries = [_published(f"{family}_FT_384px", row, names) for row, names in rows.items()]
        if family == "vit":
            entries.append(Entry(row="H14", column=IMAGENET, paper=("vit_FT_384px", IMAGENET, "H14")))
        sections.append(Section(title=f"ViT of {year}: fine-tuned at 384 px", entries=entries))
    return sections


def _joint(experiment: str, row: str, names: Sequence[str], dataset: str) -> Entry:
    """The top-1 of the network's own head, as its train record has it."""
    name = names[0] + (f"-x{len(names)}" if len(names) > 1 else "") + f"-{dataset}"
    return Entry(
        row=row,
        column=dataset,
        paper=(experiment, dataset, row),
        match={"kind": "train", "dataset": dataset, "features": name, "split": scored(dataset)},
        commands=[
            f"python -m extract.finetune --backbone {','.join(names)} --dataset {dataset} --val {scored(dataset)} "
            f"--name {name}"
        ],
    )


def _staged(experiment: str, row: str, names: Sequence[str], dataset: str) -> Entry:
    tuned = _tuned(names, dataset)
    features = ",".join(f"{name}:raw" for name in tuned)
    return _fine_tuned(experiment, row, names, dataset, features, _from_average(tuned, dataset))


def _averaged(experiment: str, row: str, names: Sequence[str], dataset: str) -> Entry:
    features = ",".join(_tuned(names, dataset))
    asked = f"--features {shlex.quote(features)} --dataset {dataset}{test_flag(dataset)}"
    last = f"python -m probe {asked} {PAPER_PROBE} --sub"
    raw = ",".join(f"{name}:raw" for name in _tuned(names, dataset))
    stored = tuple(f"{stored} (sub, logits)" for stored in (raw, features))
    return _fine_tuned(experiment, row, names, dataset, stored, last)


def _tuned(names: Sequence[str], dataset: str) -> list[str]:
    return [f"{name}-{dataset}" for name in names]


def _fine_tuned(
    experiment: str, row: str, names: Sequence[str], dataset: str, features: str | tuple[str, ...], last: str
) -> Entry:
    """Networks fine-tuned each by itself, extracted, and then `last`, whose record has (one of) these `features`."""
    first = " ".join(f"--backbone {name}" for name in names)
    return Entry(
        row=row,
        column=dataset,
        paper=(experiment, dataset, row),
        match=_match(dataset, features),
        commands=[
            f"python -m extract.finetune {first} --dataset {dataset}",
            extraction(_tuned(names, dataset), dataset),
            last,
        ],
    )


def _published(experiment: str, row: str, names: Sequence[str]) -> Entry:
    """Networks that come with a classifier of the target."""
    return Entry(
        row=row,
        column=IMAGENET,
        paper=(experiment, IMAGENET, row),
        match=_match(IMAGENET, ",".join(f"{name}:raw" for name in names)),
        commands=[
            f"python -m extract.heads --backbone {','.join(names)}",
            extraction(names, IMAGENET),
            _from_average(names, IMAGENET),
        ],
    )


def _match(dataset: str, features: str | tuple[str, ...]) -> dict[str, object]:
    return {
        "kind": "probe", "dataset": dataset, "features": features, "target": "label", "split": scored(dataset),
        "prefer": "sgd",
    }  # fmt: skip


def _from_average(names: Sequence[str], dataset: str) -> str:
    """The second stage: an epoch on iNaturalist and ImageNet, two on CIFAR, from the average of the heads."""
    epochs, decay = (1, "1e-5") if dataset == INAT else (1, "5e-4") if dataset == IMAGENET else (2, "5e-4")
    features = ",".join(f"{name}:raw" for name in names)
    return (
        f"python -m probe --features {features} --dataset {dataset}{test_flag(dataset)} --solver sgd --select paper "
        f"--average {','.join(names)} --batch-norm none --epochs {epochs} --lr 0.001 --weight-decay {decay}"
    )
