"""Camelyon17: networks of several hospitals on another one, by how they were tuned and by which objective."""

from collections.abc import Sequence

from probe.report.layout import Entry, Section

TUNINGS = {"IID": "top-1, IID-tuned", "OOD": "top-1, OOD-tuned"}
OBJECTIVES = {"vREx": "vrex", "ERM": "erm"}
NETWORKS = 20
PRETRAIN = "python -m extract.pretrain --arch densenet121 --dataset camelyon17 --seed 0..19 --name wilds"


def _runs(first: int, count: int) -> list[str]:
    return [f"wilds-s{i}" for i in range(first, first + count)]


def _groups(count: int, most: int = 5) -> list[list[str]]:
    """As many disjoint concatenations of so many of the networks as there are, up to five."""
    return [_runs(i * count, count) for i in range(min(most, NETWORKS // count))]


def _students(teachers: int) -> tuple[list[list[str]], list[str]]:
    name = f"wilds-distill{teachers}"
    return [[f"{name}-s{seed}"] for seed in range(5)], [
        PRETRAIN,
        f"python -m extract.distill --student densenet121 --teachers {','.join(_runs(0, teachers))} "
        f"--dataset camelyon17 --recipe wilds --seed 0..4 --name {name}",
    ]


def camelyon17() -> Section:
    rows: dict[str, tuple[list[list[str]], list[str]]] = {
        "ERM": (_groups(1), [PRETRAIN]),
        "CAT2": (_groups(2), [PRETRAIN]),
        "CAT5": (_groups(5), [PRETRAIN]),
        "CAT20": (_groups(20), [PRETRAIN]),
        **{f"DISTILL{n}": _students(n) for n in (2, 5, 20)},
        "BONSAI2": (
            [[f"wilds-bonsai-s{seed}"] for seed in range(5)],
            ["python -m extract.bonsai --arch densenet121 --dataset camelyon17 --seed 0..4 --name wilds-bonsai"],
        ),
    }
    return Section(title="Camelyon17, test hospital", entries=[
        Entry(
            row=row,
            column=f"{tuning}-tune/{objective}",
            paper=("camelyon17_test_acc", f"{tuning}-tune/{objective}", row),
            match={"kind": "probe", "dataset": "camelyon17", "features": row, "setting": setting, "method": ours},
            commands=[*made, *_measure(row, inits)],
        )
        for row, (inits, made) in rows.items()
        for tuning, setting in TUNINGS.items()
        for objective, ours in OBJECTIVES.items()
    ])  # fmt: skip


def _measure(row: str, inits: Sequence[Sequence[str]]) -> list[str]:
    names = ",".join(dict.fromkeys(name for init in inits for name in init))
    features = ";".join(",".join(init) for init in inits)
    return [
        f"python -m extract --backbone {names} --dataset camelyon17",
        f"python -m probe --features '{row}={features}' --dataset camelyon17 --group hospital --objective erm,vrex",
    ]
