"""Linear probing: which of our results belongs beside which number of the paper, and the commands that make it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from probe.report.layout import Entry, Section

IMAGENET, INAT, CIFAR100, CIFAR10 = "imagenet", "inat18", "cifar100", "cifar10"
TARGETS = (IMAGENET, INAT, CIFAR100, CIFAR10)
WITHOUT_TEST = (IMAGENET, INAT)
"""Have train and val only; the paper scores, and chooses, on val."""
PAPER_PROBE = "--solver sgd --select paper"
SEEDS = range(5)


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
    def stored(self) -> tuple[str, ...]:
        """The names in a record: sgd takes features as they are stored, other solvers standardise them."""
        names = (",".join(f"{name}:raw" for name in self.features), self.asked)
        return tuple(f"{name} (sub, logits)" for name in names) if self.sub else names


def runs(count: int) -> tuple[str, ...]:
    return tuple(f"supervised_resnet50_run{i}" for i in range(count))


def slices(name: str, width: int) -> tuple[str, ...]:
    """The 2048-wide pieces of one wide network."""
    return tuple(f"{name}[{2048 * i}:{2048 * (i + 1)}]" for i in range(width))


SWAV = ("swav_resnet50", *(f"swav_resnet50_seed{seed}" for seed in (5, 6, 7, 8)), "swav_resnet50w2",
        "swav_resnet50w4", "swav_resnet50w5")  # fmt: skip
SEER = tuple(f"seer_regnet{size}gf" for size in (32, 64, 128, 256))


def supervised() -> Section:
    nets = (
        Net("rn50", runs(1)),
        *(Net(f"cat{n}", runs(n)) for n in (2, 4, 5, 10)),
        *(Net(f"cat{n}_sub", runs(n), sub=True) for n in (2, 4, 5, 10)),
        *(Net(f"rn50w{w}", (f"supervised_resnet50w{w}",)) for w in (2, 4)),
        *(Net(f"rn50w{w}_sub", slices(f"supervised_resnet50w{w}", w), sub=True) for w in (2, 4)),
        Net("distill5", ("supervised_resnet50_distill5",)),
    )
    return _section("Supervised, linear probing", "supervised_linear_probe", nets)


def swav() -> Section:
    nets = (
        Net("rn50", SWAV[:1]),
        *(Net(f"cat{n}", SWAV[:n]) for n in (2, 5, 7, 8)),
        *(Net(f"cat{n}_sub", SWAV[:n], sub=True) for n in (2, 5, 7, 8)),
        *(Net(f"rn50w{w}", (f"swav_resnet50w{w}",)) for w in (2, 4, 5)),
    )
    return _section("SWAV, linear probing", "swav_linear_probe", nets)


def seer() -> Section:
    nets = (
        *(Net(f"rg{size}", (name,)) for size, name in zip((32, 64, 128, 256), SEER, strict=True)),
        *(Net(f"cat{n}", SEER[:n]) for n in (2, 3, 4)),
        *(Net(f"cat{n}_sub", SEER[:n], sub=True) for n in (2, 3, 4)),
    )
    return _section("SEER, linear probing", "seer_linear_probe", nets)


def vit() -> list[Section]:
    sections = []
    for family, year in (("vit", "2020"), ("vitaugreg", "2021, AugReg")):
        base, large = f"{family}_b16_in21k_384", f"{family}_l16_in21k_384"
        nets = (Net("B16", (base,)), Net("L16", (large,)), Net("cat2", (base, large)))
        title = f"ViT of {year}: linear probing, 384 px"
        sections.append(_section(title, f"{family}_LP_384px", nets, (IMAGENET,)))
    return sections


def _section(title: str, experiment: str, nets: Sequence[Net], datasets: Sequence[str] = TARGETS) -> Section:
    return Section(title=title, entries=[
        Entry(
            row=net.paper,
            column=dataset,
            paper=(experiment, dataset, net.paper),
            match={"kind": "probe", "dataset": dataset, "features": net.stored, "target": "label",
                   "split": scored(dataset), "prefer": "sgd"},
            commands=[extraction(net.features, dataset), _probe(net, dataset)],
        )
        for net in nets
        for dataset in datasets
    ])  # fmt: skip


def scored(dataset: str) -> str:
    """The split that the paper reports."""
    return "val" if dataset in WITHOUT_TEST else "test"


def test_flag(dataset: str) -> str:
    return " --test val" if dataset in WITHOUT_TEST else ""


def extraction(features: Sequence[str], dataset: str) -> str:
    names = ",".join(dict.fromkeys(name.partition("[")[0].partition(":")[0] for name in features))
    return f"python -m extract --backbone {names} --dataset {dataset}"


def _probe(net: Net, dataset: str) -> str:
    sub = " --sub" if net.sub else ""
    decay = " --weight-decay 1e-6,1e-5,1e-4" if dataset == INAT else ""
    asked = shlex.quote(net.asked)
    return f"python -m probe --features {asked} --dataset {dataset}{test_flag(dataset)} {PAPER_PROBE}{decay}{sub}"


def table1() -> Section:
    """Five networks for each weight decay; the paper's network is a ResNet18 for CIFAR."""
    entries = []
    for decay, flag in (("wd=0", "0"), ("wd=5e-4", "5e-4")):
        for column in (CIFAR10, f"{CIFAR10}->{CIFAR100}", CIFAR100, f"{CIFAR100}->{CIFAR10}"):
            source, _, target = column.partition("->")
            target = target or source
            base = f"{source}-{decay.replace('=', '')}"
            names = tuple(f"{base}-s{seed}" for seed in SEEDS)
            rows = " ".join(f"--features {name}" for name in names)
            entries.append(
                Entry(
                    row=decay,
                    column=column,
                    paper=("L2_wd_linear_probe", column, decay),
                    match={"kind": "probe", "dataset": target, "features": (*(f"{name}:raw" for name in names), *names),
                           "target": "label", "split": "test",
                           "prefer": "sgd"},
                    commands=[
                        f"python -m extract.pretrain --arch resnet18 --dataset {source} --recipe small --epochs 200 "
                        f"--weight-decay {flag} --seed 0..4 --name {base}",
                        extraction(names, target),
                        f"python -m probe {rows} --dataset {target} {PAPER_PROBE}",
                    ],
                )
            )  # fmt: skip
    return Section(title="Weight decay in pretraining, linear probing (Table 1)", entries=entries)
