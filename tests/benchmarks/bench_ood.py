"""A whole vREx grid against one member of it, the same code alone: made features, three groups, two classes.

    python tests/benchmarks/bench_ood.py [--rows 300000 --dim 1024 --repeats 3]

Prints a Markdown table: seconds of an epoch of `balanced` at two batch sizes and of steps of `fullbatch`, medians, the
sides taking turns. Beside it the usual loop of one member, torch.nn.Linear and torch.optim.SGD on the same batches.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from probe.config import PENALTIES
from probe.data import Data, Held
from probe.prepare import Prepare, Step
from probe.solvers.grouped import GroupSettings, train
from probe.solvers.members import Member, members_of
from store.balanced import two_groups

SEEDS = (0, 1, 2, 3, 4)


def made(rows: int, dim: int) -> tuple[Data, np.ndarray]:
    """float16 features as a store holds them, standardised on the way; hospitals of unequal sizes."""
    rng = np.random.default_rng(0)
    y_N, group_N = rng.integers(0, 2, rows), rng.choice(3, rows, p=(0.2, 0.3, 0.5))
    x = np.empty((rows, dim), np.float16)
    centre = rng.standard_normal((2, dim), dtype=np.float32) * 0.05
    for start in range(0, rows, 10000):
        part = slice(start, start + 10000)
        noise = rng.standard_normal((len(y_N[part]), dim), dtype=np.float32)
        x[part] = noise + centre[y_N[part]] * (1 + group_N[part, None])
    step = Step("scale", torch.zeros(dim), torch.ones(dim))
    here = np.arange(rows)
    return Data(((Held(x), here),), here, y_N, 2, Prepare([dim], [[step]]), torch.device("cpu")), group_N


def usual(data: Data, group_N: np.ndarray, member: Member, batch: int) -> None:
    """One member as it is usually written: a module, autograd, an optimizer."""
    source = data.pieces[0][0]
    layer = torch.nn.Linear(data.dim, 2)
    optimizer = torch.optim.SGD(layer.parameters(), member.lr, momentum=0.9, weight_decay=member.weight_decay)
    positions, _ = two_groups(group_N, batch, 0, 1)
    for rows in positions:
        x, y = torch.from_numpy(source.read(rows)).float(), data.y_N[torch.from_numpy(rows)]
        losses = torch.nn.functional.cross_entropy(layer(x), y, reduction="none").view(2, -1).mean(1)
        loss = losses.mean() + member.penalty * losses.var() / 2
        optimizer.zero_grad()
        (loss / max(1.0, member.penalty)).backward()
        optimizer.step()


def seconds(repeats: int, *sides: Callable[[], object]) -> list[float]:
    """Median of each side, taking turns, after one turn that does not count."""
    taken: list[list[float]] = [[] for _ in sides]
    for turn in range(repeats + 1):
        for side, kept in zip(sides, taken, strict=True):
            start = time.perf_counter()
            side()
            if turn:
                kept.append(time.perf_counter() - start)
    return [statistics.median(kept) for kept in taken]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=300_000)
    p.add_argument("--dim", type=int, default=1024)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--steps", type=int, default=2, help="of fullbatch")
    o = p.parse_args()
    data, group_N = made(o.rows, o.dim)
    grid = members_of(("vrex",), (1e-3,), (1e-2,), PENALTIES, (0,), SEEDS)

    def run(members: list[Member], batch: int | None) -> None:
        settings = GroupSettings(epochs=o.steps if batch is None else 1, batch=batch)
        train(data, group_N, 3, members, settings, lambda _epoch, _heads: None)

    print(f"{o.rows} x {o.dim} float16, {torch.get_num_threads()} threads, medians of {o.repeats}\n")
    print("| what | usual loop, one member | ours, one member | ours, 9 penalties x 5 seeds | ratio to ours | goal |")
    print("|---|---|---|---|---|---|", flush=True)
    for batch in (32, 256, None):
        sides = [lambda b=batch: run(grid[7:8], b), lambda b=batch: run(grid, b)]
        if batch is not None:
            sides.append(lambda b=batch: usual(data, group_N, grid[7], b))
        one, every, *loop = seconds(o.repeats, *sides)
        name = f"fullbatch, {o.steps} steps" if batch is None else f"balanced, an epoch in batches of {batch}"
        cells = (f"{loop[0]:.2f} s" if loop else "", f"{one:.2f} s", f"{every:.2f} s", f"{every / one:.2f}", "<= 3")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
