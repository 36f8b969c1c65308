"""Few-shot evaluation against the loops it replaces: python tests/benchmarks/bench_fewshot.py [--rounds 3].

Made features of 20 classes; every peer gets the same episodes, and where it trains the same initial weights and batch
orders. Times are wall seconds of what an evaluation does for each set of episodes: random starts, Gram matrices,
training and predictions; the peers are given their starts.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import faiss
import numpy as np
import torch
from made_episodes import made_chunk, made_features
from sequential_fewshot import predict

from fewshot.chunk import Chunk
from fewshot.config import Settings, Span
from fewshot.episodes import Episodes, EpisodeSet, draw_set
from fewshot.lists import Lists, Rows
from fewshot.scoring import find, score_sets
from store.samples import Targets

SEQUENTIAL = 4
"""Episodes of a round of the sequential loop."""


def clock(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def as_set(chunk: Chunk) -> EpisodeSet:
    """The episodes of a made chunk as the command has them."""
    rows = (part.numpy().reshape(len(part), chunk.way, -1) for part in (chunk.support_En, chunk.query_Em))
    batch = Episodes(*rows, np.zeros((len(chunk.number_E), chunk.way), np.int32), chunk.number_E)
    return EpisodeSet(str(chunk.way), str(chunk.shot), 15, 1, (batch,), chunk.way)


def score(name: str, chunk: Chunk, drawn: EpisodeSet) -> np.ndarray:
    """What `python -m fewshot` does once the features are read."""
    dims = {"a": chunk.features.x_ND.shape[1]}
    ((correct_E, _),) = score_sets(lambda *_: chunk.features, dims, [name], [drawn], chunk.settings).values()
    return correct_E


def sequential(chunk: Chunk, name: str, which: range, out_Em: torch.Tensor, threads: int) -> None:
    """Predictions of the loop for some episodes."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    for e in which:
        out_Em[e] = predict(chunk, e, cosine=name == "baseline++").argmax(1)
    torch.set_num_threads(before)


def trained(rounds: int, episodes: int = 4096, dim: int = 2560) -> None:
    """Baseline and Baseline++, 5-way 5-shot."""
    chunk = made_chunk(episodes, features=made_features(dim=dim, apart=0.12))
    few = made_chunk(rounds * SEQUENTIAL, features=chunk.features)
    every, drawn, truth_m = torch.get_num_threads(), as_set(chunk), torch.arange(5).repeat_interleave(15)
    print(
        f"\n5-way 5-shot, 15 queries, D = {dim}; ours: {episodes} episodes; "
        f"the loop: {SEQUENTIAL} a round, the faster of 1 and {every} threads\n"
    )
    print("| classifier | loop, episodes/s | ours, episodes/s | ratio | accuracy, loop | ours | predictions differ |")
    print("|---|---|---|---|---|---|---|")
    for name in ("baseline", "baseline++"):
        loop, ours, theirs = [], [], torch.empty(rounds * SEQUENTIAL, 75, dtype=torch.int64)
        _ = few.start  # the peer is given its initial weights and orders
        for turn in range(rounds):
            which = range(turn * SEQUENTIAL, (turn + 1) * SEQUENTIAL)
            loop.append(min(clock(partial(sequential, few, name, which, theirs, threads)) for threads in (1, every)))
            ours.append(clock(partial(score, name, chunk, drawn)))
        same = find(name)(few).argmax(2)
        slow, fast = SEQUENTIAL / median(loop), episodes / median(ours)
        accuracies = " | ".join(f"{(found == truth_m).double().mean():.4f}" for found in (theirs, same))
        differ = f"{int((theirs != same).sum())} of {theirs.numel()}"
        print(f"| {name} | {slow:.2f} | {fast:.0f} | {fast / slow:.0f} | {accuracies} | {differ} |", flush=True)


def nearest(rounds: int, episodes: int = 20_000, dim: int = 512) -> None:
    """The nearest class mean against one faiss index for each episode."""
    chunk = made_chunk(episodes, features=made_features(dim=dim, apart=0.12))
    x_ND, support, query = chunk.features.x_ND.numpy(), chunk.support_En.numpy(), chunk.query_Em.numpy()
    drawn, peer, ours = as_set(chunk), [], []

    def indices() -> None:
        for e in range(episodes // 8):
            index = faiss.IndexFlatL2(dim)
            index.add(x_ND[support[e]].reshape(5, 5, dim).mean(axis=1))
            index.search(x_ND[query[e]], 1)

    for _ in range(rounds):
        peer.append(clock(indices))
        ours.append(clock(partial(score, "nearest", chunk, drawn)))
    slow, fast = episodes // 8 / median(peer), episodes / median(ours)
    print(f"\nnearest, 5-way 5-shot, D = {dim}\n\n| faiss index an episode | ours, episodes/s | ratio |\n|---|---|---|")
    print(f"| {slow:.0f} | {fast:.0f} | {fast / slow:.1f} |", flush=True)


def one(name: str, way: int, shot: int, dim: int, episodes: int) -> None:
    """Run a single cell of the table in this process, and print what it took."""
    features = made_features(dim=dim)
    rows = Rows.of(list(np.arange(800).reshape(20, 40)))
    lists = Lists(Targets("label", tuple(map(str, range(20))), np.zeros(0)), rows, rows, paired=True)
    drawn = draw_set(lists, Span(way, way), Span(shot, shot), 15, episodes, 1, seed=0)
    found = score_sets(lambda *_: features, {"a": dim}, [name], [drawn], Settings())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"rate": episodes / found[name, 0][1], "gigabytes": peak}))


def table(rounds: int) -> None:
    """Speed and peak memory of a whole process against way, shot and D."""
    print("\n| classifier | way | shot | D | episodes | episodes/s | peak memory, GB |\n|---|---|---|---|---|---|---|")
    cells = [
        ("baseline++", way, shot, dim, 1024) for way, shot, dim in
        ((5, 1, 2560), (5, 5, 512), (5, 5, 2560), (5, 5, 10240), (5, 20, 2560), (20, 1, 2560), (20, 5, 2560))
    ]  # fmt: skip
    cells += [("baseline", 5, 5, 2560, 1024), ("baseline++", 5, 5, 2560, 10_000), ("nearest", 5, 5, 512, 10_000)]
    cells += [("logistic", 5, 5, 2560, 1024), ("ridge", 5, 5, 2560, 1024), ("knn", 5, 5, 2560, 1024)]
    for cell in cells:
        command = [sys.executable, "-W", "ignore", __file__, "--one", *map(str, cell)]
        found = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(rounds)]
        name, way, shot, dim, episodes = cell
        rate, peak = median(f["rate"] for f in found), max(f["gigabytes"] for f in found)
        print(f"| {name} | {way} | {shot} | {dim} | {episodes} | {rate:.0f} | {peak:.2f} |", flush=True)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rounds", type=int, default=3, help="medians are over these (%(default)s)")
    p.add_argument("--only", choices=("trained", "nearest", "table"))
    p.add_argument("--one", nargs=5, metavar=("NAME", "WAY", "SHOT", "D", "EPISODES"), help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.one:
        one(args.one[0], *map(int, args.one[1:]))
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, medians of {args.rounds} rounds")
    for part in (trained, nearest, table):
        if args.only in (None, part.__name__):
            part(args.rounds)


if __name__ == "__main__":
    main()
