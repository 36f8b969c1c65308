"""All subsets of ten backbones at twenty weight decays, against a ridge probe on each concatenated matrix.

    python tests/benchmarks/bench_search.py make  FOLDER --rows 200000     made features: 2 GB, float16
    python tests/benchmarks/bench_search.py blocks FOLDER --rows 200000    their Gram blocks
    python tests/benchmarks/bench_search.py ours  FOLDER --rows 200000 [--decays 0:10]
    python tests/benchmarks/bench_search.py peer  FOLDER --rows 200000     a sample of subsets, in memory, extrapolated
    python tests/benchmarks/bench_search.py add   FOLDER --rows 200000     an eleventh backbone
    python tests/benchmarks/bench_search.py table FOLDER --rows 200000,20000

The steps are apart because each takes minutes: `ours` may be given a part of the grid at a time, and keeps what it
found beside the features. Every weight decay walks the same lattice: where only some were, the table scales their time.
The peer is this project's own ridge solver, on features that lie in memory already: reading them is not timed. Its
seconds at 2, 5 and 8 backbones give those of every size by a parabola.
"""

import argparse
import itertools
import json
import math
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE))
RIDGE = tuple(float(10.0**e) for e in np.linspace(-4, 2, 20))
SIZES = (2, 5, 8)
SHARED, OWN, BLOCK = 384, 128, 4096
REPORT = """
import sys
from probe.search.cli import main
main(sys.argv[1:])
print(open("/proc/self/status").read(), file=sys.stderr)
"""


def make(o: argparse.Namespace, rows: int) -> None:
    """Rectified mixtures of latent values that all backbones share, and of some of their own."""
    from conftest import make_samples

    from store.fingerprint import Fingerprint
    from store.keys import FeatureKey
    from store.root import open_root
    from store.writer import FeatureWriter

    root, rng = open_root(o.folder), np.random.default_rng(0)
    centres = rng.normal(size=(o.classes, SHARED)).astype(np.float32) * 0.16
    mixing = [rng.normal(size=(SHARED + OWN, o.dim)).astype(np.float32) * 0.06 for _ in range(o.backbones + 1)]
    for split, count in (("train", rows), ("val", o.val)):
        y_N = np.random.default_rng(len(split)).integers(0, o.classes, count)
        samples = make_samples(f"made{rows}", split, {"label": y_N}, {})
        writers = []
        for i in range(o.backbones + 1):
            name = f"net{i}" if i < o.backbones else "eleventh"
            parts = {"weights": name, "architecture": "made", "layer": "features", "pooling": "avg", "recipe": {}}
            print_ = Fingerprint(**parts, precision="fp32", dtype="float16", samples=samples.id)
            key = FeatureKey(f"made{rows}", split, name)
            writers.append(FeatureWriter(root, key, print_, samples, o.dim, block_rows=BLOCK))
        for block in range(-(-count // BLOCK)):
            draw = np.random.default_rng([len(split), block])
            span = writers[0].rows(block)
            shared = centres[y_N[span.start : span.stop]] + draw.standard_normal((len(span), SHARED), np.float32)
            content = draw.integers(0, 256, (len(span), 16), dtype=np.uint8)
            for writer, mix in zip(writers, mixing, strict=True):
                own = draw.standard_normal((len(span), OWN), np.float32)
                writer.write(block, np.maximum(np.hstack([shared, own]) @ mix, 0).astype(np.float16), content, {})
        assert all(writer.commit({"command": "made by a benchmark"}) for writer in writers)


def search(o: argparse.Namespace, rows: int, *flags: str) -> dict:
    """`python -m probe.search` in a process of its own: its JSON, and its peak resident bytes."""
    command = [
        sys.executable,
        "-c",
        REPORT,
        "--store",
        o.folder,
        "--dataset",
        f"made{rows}",
        "--json",
        "--confirm",
        "0",
    ]
    env = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run([*command, *flags], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.stderr)
    assert peak is not None
    return {**json.loads(done.stdout), "peak": int(peak[1]) * 1024}


def ours(o: argparse.Namespace, rows: int) -> None:
    low, _, high = o.decays.partition(":")
    grid = RIDGE[int(low or 0) : int(high or len(RIDGE))]
    bound = ("--memory", o.memory) if o.memory else ()
    found = search(o, rows, "--features", "net*", "--weight-decay", ",".join(map(repr, grid)), *bound)
    keep(o, rows, f"ours-{low}", {**found, "decays": len(grid), "grid": grid})
    print(f"N = {rows}, {len(grid)} weight decays: blocks {found['seconds']['blocks']:.1f} s ({found['blocks_made']} "
          f"made), search {found['seconds']['search']:.1f} s, peak {found['peak'] / 1e9:.2f} GB")  # fmt: skip


def blocks(o: argparse.Namespace, rows: int) -> None:
    """The blocks of all but the last backbone, and next to nothing else."""
    found = search(o, rows, "--features", "net*", "--budget", "1", "--weight-decay", "1")
    keep(o, rows, "blocks", found)
    print(f"N = {rows}: {found['blocks_made']} blocks, {found['seconds']['blocks']:.1f} s")


def add(o: argparse.Namespace, rows: int) -> None:
    found = search(o, rows, "--features", "net*,eleventh", "--budget", "1", "--weight-decay", "1")
    keep(o, rows, "add", found)
    print(f"N = {rows}, an eleventh: {found['blocks_made']} blocks, {found['seconds']['blocks']:.1f} s")


def peer(o: argparse.Namespace, rows: int) -> None:
    """What `python -m probe --solver ridge` does up to the choice of the weight decay, on features in memory."""
    from probe.config import ProbeConfig
    from probe.data import Streamed
    from probe.features import Block
    from probe.metrics import predict
    from probe.select import best, mean_scores
    from probe.solvers import Settings, solve
    from probe.splits import fitted, open_split
    from store.root import open_root

    root, config = open_root(o.folder), ProbeConfig(features=(), dataset=f"made{rows}")
    for size in SIZES:
        members = sorted(np.random.default_rng(size).choice(o.backbones, size, replace=False).tolist())
        blocks = [Block(f"net{i}") for i in members]
        data = []
        for name in ("train", "val"):
            split = open_split(root, config, name, blocks, None, torch.device("cpu"))
            source, used = split.data.pieces[0]
            assert isinstance(source, Streamed)
            data.append(replace(split.data, pieces=((source.load(used), np.arange(len(used))),)))
        start = time.perf_counter()
        train = fitted(data[0], blocks)
        fits = solve("ridge", train, Settings(weight_decay=RIDGE))
        scores = mean_scores([predict([fit.head for fit in fits], data[1].prepared_by(train.prepare))])
        chosen = best(scores, fits)
        seconds = time.perf_counter() - start
        top1 = {repr(fit.weight_decay): score[0] for fit, score in zip(fits, scores, strict=True)}
        found = {"members": members, "seconds": seconds, "chosen": fits[chosen].weight_decay, "val_top1": top1}
        keep(o, rows, f"peer-{size}", found)
        print(f"N = {rows}, ridge on {size} backbones: {seconds:.1f} s", flush=True)


def keep(o: argparse.Namespace, rows: int, name: str, found: dict) -> None:
    (Path(o.folder) / f"{rows}-{name}.json").write_text(json.dumps(found))


def kept(o: argparse.Namespace, rows: int, name: str) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(Path(o.folder).glob(f"{rows}-{name}*.json"))]


def table(o: argparse.Namespace, rows: int) -> None:
    parts, peers, (extra, *_) = kept(o, rows, "ours"), kept(o, rows, "peer"), kept(o, rows, "add")
    curve = np.polyfit([len(one["members"]) for one in peers], [one["seconds"] for one in peers], len(peers) - 1)
    theirs = sum(math.comb(o.backbones, size) * np.polyval(curve, size) for size in range(1, o.backbones + 1))
    walked = sum(part["decays"] for part in parts)
    made = max(p["seconds"]["blocks"] for p in [*parts, *kept(o, rows, "blocks")])
    walks = sum(p["seconds"]["search"] for p in parts) * len(RIDGE) / walked
    differ = []
    for part, one in itertools.product(parts, peers):
        (mine,) = [row["val_top1"] for row in part["subsets"] if row["members"] == one["members"]]
        differ.append(mine - max(one["val_top1"][repr(decay)] for decay in part["grid"]))
    cells = [f"{rows}", f"{made:.0f}", f"{walks:.0f} ({walked})", f"{theirs:.0f}", f"{theirs / (made + walks):.1f}",
             f"{theirs / walks:.1f}", f"{max(p['peak'] for p in parts) / 1e9:.2f}",
             f"{extra['seconds']['blocks']:.1f} ({extra['blocks_made']})",
             f"{100 * max(map(abs, differ)):.2f}"]  # fmt: skip
    print("| " + " | ".join(cells) + " |")


HEAD = [
    "N", "blocks, s", "search, s (weight decays walked)", "ridge on each, s (extrapolated)", "ratio",
    "ratio, blocks there", "peak, GB", "an eleventh, s (blocks)", "top-1 differs by, points",
]  # fmt: skip
STEPS = {"make": make, "blocks": blocks, "ours": ours, "peer": peer, "add": add, "table": table}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("step", choices=list(STEPS))
    p.add_argument("folder")
    p.add_argument("--rows", default="20000")
    p.add_argument("--val", type=int, default=5000)
    p.add_argument("--dim", type=int, default=512)
    p.add_argument("--classes", type=int, default=100)
    p.add_argument("--backbones", type=int, default=10)
    p.add_argument("--decays", default=":", help="part of the grid of 20, low:high")
    p.add_argument("--memory", help="of `ours`, such as 2GB")
    o = p.parse_args()
    if o.step == "table":
        print("\n".join("| " + " | ".join(line) + " |" for line in (HEAD, ["---"] * len(HEAD))))
    for rows in map(int, o.rows.split(",")):
        STEPS[o.step](o, rows)


if __name__ == "__main__":
    main()
