"""What the small reproduction found, against the paper's claims: one table, written into docs/RESULTS.md."""

import json
import math
import textwrap
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

from plan import seeds

HEADING = "## The paper's claims at small scale"
KINDS = ("fashion", "emoji")
T95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
"""Student's t for a 95 % interval of so many repeats."""


def write(folder: Path, repeats: int, file: Path) -> str:
    """Put the table under its heading in `file`; returns it."""
    found = {
        kind: [r for r in range(repeats) if (folder / f"{kind}-r{r}/done").is_file()] for kind in ("fashion", "emoji")
    }
    text = "\n".join([HEADING, "", *_intro(folder, found), *_tables(folder, found), ""])
    before, _, after = file.read_text().partition(f"{HEADING}\n")
    rest = after.partition("\n## ")
    file.write_text(before.rstrip() + f"\n\n{text}" + (f"\n## {rest[2]}" if rest[1] else ""))
    return text


def _intro(folder: Path, found: dict[str, list[int]]) -> list[str]:
    spent = {kind: [seconds(folder / f"{kind}-r{r}") for r in found[kind]] for kind in KINDS}
    minutes = sum(sum(each) for each in spent.values()) / 60
    fastest = [f"{kind} {min(each):.0f} s" for kind, each in spent.items() if each]
    fashion, emoji = (len(found[kind]) for kind in KINDS)
    text = f"""
        `make reproduce` (on two cores, {minutes:.0f} minutes; its fastest repeat:
        {", ".join(fastest)}). Fashion-MNIST: ResNet10 of a quarter of the
        width at 32 px, pretrained on 300 images of each of 5 base classes; scored on 500 test images of
        each of the 5 other classes, after 100 training images of each. Emoji in three styles: Conv4 of half
        the width at 32 px with a cosine head, on 30 subcategories; 600 episodes of 5 ways over the other
        subcategories, no emoji both in support and query. Every repeat has classes and networks of its own:
        {fashion} and {emoji} repeats; ± is the 95 % t interval of their mean, and a claim holds where the
        interval of its difference leaves out 0. The paper's figures are of other images and larger
        networks."""
    return [textwrap.fill(" ".join(text.split()), 120), ""]


def seconds(own: Path) -> float:
    """What the commands of half a repeat took together; 0: not known, its folder was made by hand."""
    file = own / "seconds"
    return float(file.read_text()) if file.is_file() else 0.0


def _tables(folder: Path, found: dict[str, list[int]]) -> list[str]:
    values = {
        "fashion": [fashion(folder / f"fashion-r{r}", r) for r in found["fashion"]],
        "emoji": [emoji(folder / f"emoji-r{r}", r) for r in found["emoji"]],
    }
    lines = ["| top-1, per cent | here | the paper |", "|---|---|---|"]
    lines += [f"| {what} | {interval([v[key] for v in values[kind]])} | {paper} |" for what, kind, key, paper in FIGURES
              if values[kind]]  # fmt: skip
    lines += ["", "| claim | difference, points | holds here |", "|---|---|---|"]
    for claim, kind, difference in CLAIMS:
        if values[kind]:
            gaps = [difference(v) for v in values[kind]]
            lines.append(f"| {claim} | {interval(gaps, sign=True)} | {verdict(gaps)} |")
    return lines


def fashion(folder: Path, repeat: int) -> dict[str, float]:
    """Top-1 of each row, per cent."""
    rows = json.loads((folder / "linear.json").read_text())["rows"]
    top1 = {row["features"]: 100 * row["top1"] for row in rows}
    nets = [f"net-s{seed}" for seed in seeds(repeat)]
    alone = [top1[net] for net in nets]
    scores = {name: 100 * json.loads((folder / f"{name}.json").read_text())["top1"]
              for name in (*(f"{net}-tuned" for net in nets), "init-cat")}  # fmt: skip
    return {
        "one": mean(alone),
        "spread": stdev(alone),
        "cat2": top1[",".join(nets[:2])],
        "cat5": top1[",".join(nets)],
        "wide": top1["wide"],
        "joint": top1["joint"],
        "tuned": mean(scores[f"{net}-tuned"] for net in nets),
        "init-cat": scores["init-cat"],
        "two-stage": 100 * json.loads((folder / "two-stage.json").read_text())["rows"][0]["top1"],
    }


def emoji(folder: Path, repeat: int) -> dict[str, float]:
    """Accuracy of each row at 1 and 5 shots, per cent."""
    found = json.loads((folder / "episodes.json").read_text())["results"]
    nets = [f"net-s{seed}" for seed in seeds(repeat)]
    values = {}
    for shots in (1, 5):
        top1 = {row["features"]: 100 * row["accuracy"] for row in found if str(row["shots"]) == str(shots)}
        snapshots = {name: value for name, value in top1.items() if name.startswith("snap") and "," not in name}
        values |= {
            f"one {shots}": mean(top1[net] for net in nets),
            f"cat2 {shots}": top1[",".join(nets[:2])],
            f"cat5 {shots}": top1[",".join(nets)],
            f"distill5 {shots}": top1["distill"],
            f"snapshot {shots}": max(snapshots.values()),
            f"cat5-s {shots}": next(v for name, v in top1.items() if name.startswith("snap") and "," in name),
        }
    return values


FIGURES = [
    ("linear probe: one network", "fashion", "one", "37.9 (ImageNet to iNat18)"),
    ("standard deviation of five networks alone", "fashion", "spread", ""),
    ("linear probe: CAT2", "fashion", "cat2", "43.3"),
    ("linear probe: CAT5", "fashion", "cat5", "47.8"),
    ("linear probe: one network twice as wide (dim of CAT2)", "fashion", "wide", "37.4 (ResNet50w2)"),
    ("linear probe: five networks trained jointly (size of CAT5)", "fashion", "joint", ""),
    ("fine-tuning: one network", "fashion", "tuned", "64.2 (iNat18)"),
    ("fine-tuning: [init]cat5", "fashion", "init-cat", "64.9"),
    ("fine-tuning: [2ft]cat5", "fashion", "two-stage", "68.5"),
    *(
        row
        for shots, one, cat2, cat5, distill, snapshot, cat5s in (
            (1, 57.48, 60.65, 63.60, 62.87, 55.55, 62.95),
            (5, 76.47, 79.24, 81.18, 81.46, 75.45, 81.05),
        )
        for row in (
            (f"{shots}-shot: Baseline++ of one network", "emoji", f"one {shots}", f"{one} (miniImageNet, ResNet18)"),
            (f"{shots}-shot: CAT2", "emoji", f"cat2 {shots}", f"{cat2}"),
            (f"{shots}-shot: CAT5", "emoji", f"cat5 {shots}", f"{cat5}"),
            (f"{shots}-shot: DISTILL5", "emoji", f"distill5 {shots}", f"{distill}"),
            (f"{shots}-shot: best of five snapshots of one run", "emoji", f"snapshot {shots}", f"{snapshot}"),
            (f"{shots}-shot: CAT5-S, these five concatenated", "emoji", f"cat5-s {shots}", f"{cat5s}"),
        )
    ),
]
"""Row, half, key, the paper's figure beside it (its figures 2, 3 and tables; digitised to ±0.1)."""

CLAIMS: list[tuple[str, str, Callable[[dict[str, float]], float]]] = [
    ("(a) CAT2 > one network", "fashion", lambda v: v["cat2"] - v["one"]),
    ("(a) CAT5 > CAT2", "fashion", lambda v: v["cat5"] - v["cat2"]),
    ("(a) CAT2 > one network as wide", "fashion", lambda v: v["cat2"] - v["wide"]),
    ("(a) CAT5 > five trained jointly", "fashion", lambda v: v["cat5"] - v["joint"]),
    ("(b) [2ft]cat5 > [init]cat5", "fashion", lambda v: v["two-stage"] - v["init-cat"]),
    ("(b) [2ft]cat5 > one fine-tuned", "fashion", lambda v: v["two-stage"] - v["tuned"]),
    *(
        (f"({part}) {shots}-shot: {claim}", "emoji", lambda v, a=f"{a} {shots}", b=f"{b} {shots}": v[a] - v[b])
        for shots in (1, 5)
        for part, claim, a, b in (
            ("c", "CAT5 > one network", "cat5", "one"),
            ("c", "DISTILL5 > one network", "distill5", "one"),
            ("c", "CAT5 > DISTILL5", "cat5", "distill5"),
            ("d", "CAT5-S > its best snapshot", "cat5-s", "snapshot"),
        )
    ),
]


def half_width(values: list[float]) -> float:
    """Of the 95 % t interval of the mean."""
    if len(values) < 2:
        return math.inf
    return T95.get(len(values), 1.96) * stdev(values) / math.sqrt(len(values))


def interval(values: list[float], *, sign: bool = False) -> str:
    middle = f"{mean(values):+.2f}" if sign else f"{mean(values):.2f}"
    return middle if len(values) < 2 else f"{middle} ± {half_width(values):.2f}"


def verdict(gaps: list[float]) -> str:
    low, high = mean(gaps) - half_width(gaps), mean(gaps) + half_width(gaps)
    signs = f"{sum(gap > 0 for gap in gaps)} of {len(gaps)} repeats"
    if low > 0:
        return f"yes ({signs})"
    return f"no, the opposite ({signs})" if high < 0 else f"unclear ({signs})"
