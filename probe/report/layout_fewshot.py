"""Few-shot episodes with ResNet18: the paper's bars."""

from collections.abc import Sequence

from probe.report.layout import Entry, Section

SETTINGS = {"5w1s": "5-way 1-shot", "5w5s": "5-way 5-shot"}
DATASETS = {"miniImagenet": ("miniimagenet", 400), "CUB": ("cub", 200)}
"""The paper's name -> ours, and how many epochs Chen et al. (2019) trained."""
PEERS = ("MAML", "RelationNet", "MatchingNet", "ProtoNet")
EPISODES = "--episodes 600 --repeats 5"


def fewshot() -> Section:
    return Section(title="Few-shot, ResNet18", entries=[
        entry
        for paper, (dataset, epochs) in DATASETS.items()
        for short, setting in SETTINGS.items()
        for entry in _column(f"{paper}_{short}", dataset, epochs, setting)
    ])  # fmt: skip


def _column(column: str, dataset: str, epochs: int, setting: str) -> list[Entry]:
    plain, cosine, snapped = f"{dataset}-linear-s0", f"{dataset}-cosine", f"{dataset}-snapshots"
    runs = [f"{cosine}-s{seed}" for seed in range(5)]
    shots = [f"{snapped}@e{round(epochs * (6 + k) / 10)}" for k in range(5)]
    train = f"python -m extract.pretrain --arch resnet18 --dataset {dataset} --epochs {epochs}"
    make = {
        "linear": f"{train} --recipe fewshot --name {plain}",
        "cosine": f"{train} --recipe fewshot_sgd --seed 0..4 --name {cosine}",
        "snapshots": f"{train} --recipe fewshot_sgd --schedule constant --snapshots 5 --name {snapped}",
    }

    def student(teachers: Sequence[str], name: str) -> str:
        return (
            f"python -m extract.distill --student resnet18 --teachers {','.join(teachers)} --dataset {dataset} "
            f"--recipe fewshot_sgd --epochs {epochs} --head linear --name {name}"
        )

    rows: dict[str, tuple[Sequence[str], str, list[str]]] = {
        "Baseline": ([plain], "baseline", [make["linear"]]),
        "Baseline++": (runs[:1], "baseline++", [make["cosine"]]),
        "Cat2": (runs[:2], "baseline++", [make["cosine"]]),
        "Cat5": (runs, "baseline++", [make["cosine"]]),
        "Distill2": ([f"{dataset}-distill2"], "baseline++", [make["cosine"], student(runs[:2], f"{dataset}-distill2")]),
        "Distill5": ([f"{dataset}-distill5"], "baseline++", [make["cosine"], student(runs, f"{dataset}-distill5")]),
        "Cat5-S": (shots, "baseline++", [make["snapshots"]]),
        "Distill5-S": ([f"{dataset}-distill5-S"], "baseline++",
                       [make["snapshots"], student(shots, f"{dataset}-distill5-S")]),
    }  # fmt: skip
    entries = [Entry(row=name, column=column, paper=_paper(column, name)) for name in PEERS]
    for name, (features, classifier, made) in rows.items():
        entries.append(_entry(name, column, dataset, [",".join(features)], classifier, setting, made, features))
    entries.append(
        _entry("best_single_snapshot", column, dataset, shots, "baseline++", setting, [make["snapshots"]], shots)
    )
    return entries


def _paper(column: str, row: str) -> tuple[str, str, str]:
    return ("fewshot_ResNet18", column, row)


def _entry(
    row: str, column: str, dataset: str, rows: Sequence[str], classifier: str, setting: str, made: Sequence[str],
    names: Sequence[str],
) -> Entry:  # fmt: skip
    """`rows` are concatenations of which the best counts, `names` the backbones in them."""
    asked = " ".join(f"--features {features}" for features in rows)
    return Entry(
        row=row,
        column=column,
        paper=_paper(column, row),
        match={"kind": "fewshot", "dataset": dataset, "features": tuple(rows), "setting": setting,
               "method": classifier},
        pick="best" if len(rows) > 1 else "all",
        commands=[
            *made,
            f"python -m extract --backbone {','.join(names)} --dataset {dataset} --split novel",
            f"python -m fewshot {asked} --dataset {dataset} --classifier {classifier} {EPISODES}",
        ],
    )  # fmt: skip
