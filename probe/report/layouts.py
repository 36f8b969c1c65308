"""Which of our results belongs beside which number of the paper, and the commands that make it. Data only."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from probe.report.layout import Entry, Layout, Section

IMAGENET, INAT, CIFAR100, CIFAR10 = "imagenet", "inat18", "cifar100", "cifar10"
TARGETS = (IMAGENET, INAT, CIFAR100, CIFAR10)
WITHOUT_TEST = (IMAGENET, INAT)
"""Have train and val only; the paper scores, and chooses, on val."""

PAPER_PROBE = "--solver sgd --select paper"


@dataclass(frozen=True)
class Net:
    """A row of the paper's curves: its name there, and our concatenation."""

    paper: str
    features: tuple[str, ...]
    sub: bool = False

    @property
    def asked(self) -> str:
        return ",".join(self.features)

    @property
    def stored(self) -> str:
        """The name in a record."""
        return f"{self.asked} (sub, logits)" if self.sub else self.asked


def runs(count: int) -> tuple[str, ...]:
    return tuple(f"supervised_resnet50_run{i}" for i in range(count))


def slices(name: str, width: int) -> tuple[str, ...]:
    """The 2048-wide pieces of one wide network."""
    return tuple(f"{name}[{2048 * i}:{2048 * (i + 1)}]" for i in range(width))


_SWAV = ("swav_resnet50", *(f"swav_resnet50_seed{seed}" for seed in (5, 6, 7, 8)), "swav_resnet50w2",
         "swav_resnet50w4", "swav_resnet50w5")  # fmt: skip
_SEER = tuple(f"seer_regnet{size}gf" for size in (32, 64, 128, 256))

SUPERVISED = (
    Net("rn50", runs(1)),
    *(Net(f"cat{n}", runs(n)) for n in (2, 4, 5, 10)),
    *(Net(f"cat{n}_sub", runs(n), sub=True) for n in (2, 4, 5, 10)),
    *(Net(f"rn50w{w}", (f"supervised_resnet50w{w}",)) for w in (2, 4)),
    *(Net(f"rn50w{w}_sub", slices(f"supervised_resnet50w{w}", w), sub=True) for w in (2, 4)),
    Net("distill5", ("supervised_resnet50_distill5",)),
)
SWAV = (
    Net("rn50", _SWAV[:1]),
    *(Net(f"cat{n}", _SWAV[:n]) for n in (2, 5, 7, 8)),
    *(Net(f"cat{n}_sub", _SWAV[:n], sub=True) for n in (2, 5, 7, 8)),
    *(Net(f"rn50w{w}", (f"swav_resnet50w{w}",)) for w in (2, 4, 5)),
)
SEER = (
    *(Net(f"rg{size}", (name,)) for size, name in zip((32, 64, 128, 256), _SEER, strict=True)),
    *(Net(f"cat{n}", _SEER[:n]) for n in (2, 3, 4)),
    *(Net(f"cat{n}_sub", _SEER[:n], sub=True) for n in (2, 3, 4)),
)


def vit(family: str) -> tuple[Net, ...]:
    base, large = f"{family}_b16_in21k_384", f"{family}_l16_in21k_384"
    return (Net("B16", (base,)), Net("L16", (large,)), Net("cat2", (base, large)))


def linear(title: str, experiment: str, nets: Sequence[Net], datasets: Sequence[str] = TARGETS) -> Section:
    """Linear probing by the paper's protocol."""
    return Section(title=title, entries=[
        Entry(
            row=net.paper,
            column=dataset,
            paper=(experiment, dataset, net.paper),
            match={"kind": "probe", "dataset": dataset, "features": net.stored, "target": "label",
                   "split": _scored(dataset), "method": ("sgd",)},
            commands=linear_commands(net, dataset),
        )
        for net in nets
        for dataset in datasets
    ])  # fmt: skip


def _scored(dataset: str) -> str:
    return "val" if dataset in WITHOUT_TEST else "test"


def linear_commands(net: Net, dataset: str) -> list[str]:
    names = ",".join(dict.fromkeys(name.partition("[")[0] for name in net.features))
    test = " --test val" if dataset in WITHOUT_TEST else ""
    sub = " --sub" if net.sub else ""
    decay = " --weight-decay 1e-6,1e-5,1e-4" if dataset == INAT else ""
    return [
        f"python -m extract --backbone {names} --dataset {dataset}",
        f"python -m probe --features {shlex.quote(net.asked)} --dataset {dataset}{test} {PAPER_PROBE}{decay}{sub}",
    ]


LAYOUTS: dict[str, Layout] = {
    "supervised": Layout(
        what="ImageNet networks with labels: linear probing of one, wide, concatenated and distilled ones",
        sections=[linear("Supervised, linear probing", "supervised_linear_probe", SUPERVISED)],
    ),
    "swav": Layout(
        what="SWAV networks: linear probing",
        sections=[linear("SWAV, linear probing", "swav_linear_probe", SWAV)],
    ),
    "seer": Layout(
        what="SEER networks: linear probing",
        sections=[linear("SEER, linear probing", "seer_linear_probe", SEER)],
    ),
    "vit": Layout(
        what="vision transformers at 384 px: linear probing",
        sections=[
            linear("ViT of 2020, linear probing, 384 px", "vit_LP_384px", vit("vit"), (IMAGENET,)),
            linear("ViT of 2021 (AugReg), linear probing, 384 px", "vitaugreg_LP_384px", vit("vitaugreg"), (IMAGENET,)),
        ],
    ),
}
