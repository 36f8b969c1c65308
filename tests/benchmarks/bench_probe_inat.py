"""The shape of four SEER networks on iNaturalist 2018, D = 26468 and C = 8142, scaled down: is time and memory what the
formulas of docs/PROTOCOLS.md say?

    python tests/benchmarks/bench_probe_inat.py [--part 8 --rows 8192]

One L-BFGS pass, one SGD epoch of three weight decays, one ridge solve, with heads and features of a `part` of the
columns and classes. Nothing here is asserted.
"""

import argparse
import ctypes
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from probe.data import Data, Held
from probe.memory import lbfgs_bytes
from probe.objectives import softmax_pass
from probe.prepare import Prepare, Step
from probe.solvers import Settings, solve

ROWS, COLUMNS, CLASSES = 437_513, 26_468, 8_142
DECAYS = (1e-6, 1e-5, 1e-4)
"""The grid of the paper on iNaturalist 2018."""


def peak() -> int:
    """Bytes, of this process since `reset`."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def reset() -> int:
    """Start counting the peak anew, with what was freed given back; returns what is resident."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def made(rows: int, dim: int, classes: int) -> Data:
    """Random float16 features, standardised as a probe would."""
    x = torch.empty((rows, dim), dtype=torch.float16)
    generator = torch.Generator().manual_seed(0)
    for part in x.split(1024):
        part.copy_(torch.randn(part.shape, generator=generator))
    here = np.arange(rows)
    step = Step("scale", torch.zeros(dim), torch.ones(dim))
    return Data(((Held(x), here),), here, here % classes, classes, Prepare([dim], [[step]]), torch.device("cpu"))


def measured(run: Callable[[], object]) -> tuple[float, int]:
    """Seconds, and bytes at the peak beyond those before."""
    before, start = reset(), time.perf_counter()
    run()
    return time.perf_counter() - start, peak() - before


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--part", type=int, default=8, help="columns and classes are this part of the design (%(default)s)")
    p.add_argument("--rows", type=int, default=8192)
    o = p.parse_args()
    n, d, c = o.rows, COLUMNS // o.part, CLASSES // o.part
    data, k = made(n, d, c), len(DECAYS)
    theta, decay = torch.zeros((1, c, d + 1)), torch.tensor([1e-5], dtype=torch.float64)
    softmax_pass(data, theta, decay)
    rows = []
    pairs = 5
    runs: list[tuple[str, Callable[[], object], float, int]] = [
        ("one L-BFGS pass", lambda: softmax_pass(data, theta, decay), 4 * n * d * c, 4 * c * d * 3),
        ("L-BFGS, five pairs, ten passes",
         lambda: solve("lbfgs", data, Settings(weight_decay=(1e-3,), max_passes=10, pairs=pairs, tolerance=1e-9,
                                               precision="float32")),
         4 * n * d * c * 10, lbfgs_bytes(d, c, 1, pairs)),
        ("SGD, three weight decays, one epoch",
         lambda: solve("sgd", data, Settings(weight_decay=DECAYS, epochs=1)),
         4 * n * d * c * k, 4 * c * d * (3 * k + 2)),
        ("ridge, one weight decay", lambda: solve("ridge", data, Settings(weight_decay=(1e-2,))),
         n * d * d + 2 * n * d * c + d**3 / 3, 20 * d * d + 32 * d * c),
    ]  # fmt: skip
    for name, run, operations, foreseen in runs:
        seconds, taken = measured(run)
        rows.append([name, f"{seconds:.1f}", f"{operations / 1e12:.2f}", f"{operations / seconds / 1e9:.0f}",
                     f"{taken / 1e6:.0f}", f"{foreseen / 1e6:.0f}"])  # fmt: skip
    print(f"N = {n}, D = {d}, C = {c} (one {o.part}th of {COLUMNS} and {CLASSES}), {torch.get_num_threads()} threads; "
          f"features {n * d * 2 / 1e6:.0f} MB in float16\n")  # fmt: skip
    head = ["what", "s", "TFLOP by the formula", "GFLOP/s", "memory beside the features, MB", "by the formula, MB"]
    for line in (head, ["---"] * 6, *rows):
        print("| " + " | ".join(line) + " |", flush=True)


if __name__ == "__main__":
    main()
