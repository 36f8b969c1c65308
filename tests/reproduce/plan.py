"""The commands of one repeat, as data: stages one after the other, the commands of a stage side by side.

A command with a name leaves its JSON document under that name. Five networks a repeat, seeds 10 r to 10 r + 4.
"""

from dataclasses import dataclass
from pathlib import Path

NETS = 5
SMALL = ["--recipe", "small", "--workers", "1"]
TUNE = ["--recipe", "small", "--epochs", "30", "--batch", "32", "--lr", "0.05", "--workers", "1"]
COSINE = ["--arch", "conv4w0.5", "--head", "cosine", "--scale", "30", "--lr", "0.05", *SMALL]


@dataclass(frozen=True)
class Command:
    module: str
    flags: list[str]
    name: str = ""
    """Of the JSON document that it leaves; empty: it leaves its work elsewhere."""


def seeds(repeat: int) -> list[int]:
    return [10 * repeat + i for i in range(NETS)]


def fashion(repeat: int, base: str, novel: str, folder: Path) -> list[list[Command]]:
    """Claims (a) and (b): ResNet10 of a quarter of the width at 32 px."""
    nets = [f"net-s{seed}" for seed in seeds(repeat)]
    cat = ",".join(nets)
    where = ["--store", str(folder / "features"), "--backbones", str(folder / "backbones")]
    store = where[:2]
    first = seeds(repeat)[0]

    def pretrain(arch: str, name: str, seed: int) -> Command:
        what = ["--arch", arch, "--dataset", base, "--name", name, "--seed", str(seed)]
        return Command("extract.pretrain", [*what, *SMALL, *where])

    tuned = [f"{net}-tuned" for net in nets]
    both = ["--dataset", novel, *where]
    raw = ",".join(f"{name}:raw" for name in tuned)
    two_stage = ["--features", raw, "--average", ",".join(tuned), "--solver", "sgd", "--batch-norm", "none",
                 "--epochs", "2", "--lr", "0.001", "--weight-decay", "5e-4"]  # fmt: skip
    rows = [flag for features in (*nets, ",".join(nets[:2]), cat, "wide", "joint") for flag in ("--features", features)]
    return [
        [
            pretrain("5resnet10w0.25", "joint", first),
            pretrain("resnet10w0.5", "wide", first),
            *(pretrain("resnet10w0.25", net, seed) for net, seed in zip(nets, seeds(repeat), strict=True)),
        ],
        [
            Command("extract", ["--backbone", f"{cat},wide,joint", "--workers", "2", *both]),
            *(Command("extract.finetune", ["--backbone", net, "--name", f"{net}-tuned", *TUNE, *both]) for net in nets),
            Command("extract.finetune", ["--backbone", cat, "--name", "init-cat", *TUNE, *both]),
        ],
        [
            Command("extract", ["--backbone", ",".join([*tuned, "init-cat"]), "--workers", "2", *both]),
            Command("probe", [*rows, "--dataset", novel, *store, "--json"], "linear"),
        ],
        [
            Command("probe", [*two_stage, "--dataset", novel, *store, "--json"], "two-stage"),
            *(
                Command(
                    "probe.predict", ["--head", name, "--features", name, "--dataset", novel, *store, "--json"], name
                )
                for name in (*tuned, "init-cat")
            ),
        ],
    ]


def emoji(repeat: int, base: str, novel: str, folder: Path) -> list[list[Command]]:
    """Claims (c) and (d): Conv4 of half the width at 32 px, 5-way episodes of novel subcategories."""
    nets = [f"net-s{seed}" for seed in seeds(repeat)]
    cat, first = ",".join(nets), str(seeds(repeat)[0])
    where = ["--store", str(folder / "features"), "--backbones", str(folder / "backbones")]
    snapshots = [f"snap@e{epoch}" for epoch in (12, 14, 16, 18)] + ["snap"]
    rows = [*nets, ",".join(nets[:2]), cat, "distill", *snapshots, ",".join(snapshots)]
    asked = [flag for row in rows for flag in ("--features", row)]
    episodes = ["--classifier", "baseline++", "--episodes", "600", "--shots", "1,5", "--apart", "emoji", "--json"]
    student = ["--student", *COSINE[1:], "--teachers", cat, "--dataset", base, "--name", "distill", "--from", "store"]
    snap = f"--name snap --seed {10 * repeat + 9} --schedule constant --snapshots 5".split()
    own = [snap, *(f"--name {net} --seed {seed}".split() for net, seed in zip(nets, seeds(repeat), strict=True))]
    return [
        [Command("extract.pretrain", [*COSINE, "--dataset", base, *one, *where]) for one in own],
        [Command("extract", ["--backbone", cat, "--dataset", base, "--views", "9", "--workers", "2", *where])],
        [Command("extract.distill", [*student, "--seed", first, *where])],
        [Command("extract", ["--backbone", ",".join([*nets, "distill", *snapshots]), "--dataset", novel, *where])],
        [Command("fewshot", [*asked, *episodes, "--split", "train", "--dataset", novel, *where[:2]], "episodes")],
    ]
