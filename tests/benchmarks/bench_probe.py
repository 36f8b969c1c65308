"""Probing against scikit-learn and a plain torch loop: same features, same objective, one run.

    python tests/benchmarks/bench_probe.py path sgd ridge memory growth [--rows 20000 --dim 4096 --classes 100]

Each prints a Markdown table. Times are medians of `--repeats`, the sides taking turns. Nothing here is asserted.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from probe.data import Data, Held
from probe.prepare import Prepare
from probe.solvers import Settings, sgd, solve

CPU = torch.device("cpu")
PATH = (1.0, 3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5)
GRID = (1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2)
RIDGE = tuple(10.0**e for e in np.linspace(-4, 2, 20))


def features(rows: int, dim: int, classes: int, seed: int = 0, signal: float = 0.35) -> tuple[np.ndarray, np.ndarray]:
    """Like pooled activations: not negative, correlated columns with a spectrum that falls as 1/k; standardised.

    signal: how far class means lie apart, in standard deviations within a class.
    """
    rng = np.random.default_rng(seed)
    y_N = rng.integers(0, classes, rows)
    spectrum = np.arange(1, dim + 1, dtype=np.float32) ** -0.5
    z = rng.standard_normal((rows, dim), dtype=np.float32) * spectrum
    z += (rng.standard_normal((classes, dim), dtype=np.float32) * spectrum * signal)[y_N]
    x = np.maximum(z @ (rng.standard_normal((dim, dim), dtype=np.float32) / dim**0.5), 0)
    return (x - x.mean(0)) / x.std(0), y_N


def data_of(x_ND: np.ndarray, y_N: np.ndarray, classes: int) -> Data:
    here = np.arange(len(y_N))
    return Data(((Held(x_ND), here),), here, y_N, classes, Prepare([x_ND.shape[1]], [[]]), CPU)


def objective(x_ND: np.ndarray, y_N: np.ndarray, weight: np.ndarray, bias: np.ndarray, weight_decay: float) -> float:
    """Mean cross-entropy + λ/2 |W|² in float64, a block of rows at a time."""
    total = 0.0
    for start in range(0, len(y_N), 2048):
        logits = torch.from_numpy(x_ND[start : start + 2048]).double() @ torch.from_numpy(weight).double().T
        logits += torch.from_numpy(bias).double()
        y = torch.from_numpy(y_N[start : start + 2048])
        total += float(torch.nn.functional.cross_entropy(logits, y, reduction="sum"))
    return total / len(y_N) + weight_decay / 2 * float(np.square(weight.astype(np.float64)).sum())


def medians(repeats: int, *sides: Callable[[], object]) -> list[float]:
    """Median seconds of each side, taking turns."""
    seconds: list[list[float]] = [[] for _ in sides]
    for _ in range(repeats):
        for side, kept in zip(sides, seconds, strict=True):
            start = time.perf_counter()
            side()
            kept.append(time.perf_counter() - start)
    return [statistics.median(kept) for kept in seconds]


def show(title: str, head: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n")
    for line in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(line) + " |", flush=True)


TOLERANCES = (1e-4, 1e-5, 1e-6, 1e-7)
"""Of scikit-learn; the first is its default."""


def bench_path(o: argparse.Namespace) -> None:
    """(a) Ten weight decays against ten LogisticRegression fits, float32 both.

    scikit-learn is timed at its default tolerance, and where that ends more than one part in a thousand above our
    objective also at the loosest tolerance that does not; what the tries between cost is not counted.
    """
    from sklearn.linear_model import LogisticRegression

    x_ND, y_N = features(o.rows + o.rows // 4, o.dim, o.classes, signal=o.signal)
    x, y, x_val, y_val = x_ND[: o.rows], y_N[: o.rows], x_ND[o.rows :], y_N[o.rows :]
    data, fits = data_of(x, y, o.classes), []

    def ours(precision: str = "auto") -> None:
        fits[:] = solve("lbfgs", data, Settings(weight_decay=PATH, precision=precision))

    float32, mine = medians(o.repeats, lambda: ours("float32"), ours)
    rows, ratios, points, default, same = [], [], [], 0.0, 0.0
    for decay, fit in zip(PATH, fits, strict=True):
        weight, bias = fit.head.weight.numpy(), fit.head.bias.numpy()
        a = objective(x, y, weight, bias, decay)
        for tolerance in TOLERANCES:
            start = time.perf_counter()
            peer = LogisticRegression(C=1 / (decay * len(y)), tol=tolerance, max_iter=1000).fit(x, y)
            seconds = time.perf_counter() - start
            default += seconds if tolerance == TOLERANCES[0] else 0
            b = objective(x, y, peer.coef_, peer.intercept_, decay)
            if tolerance == TOLERANCES[0]:
                at_default = b / a - 1
            if b <= a * 1.001:
                break
        same += seconds
        accuracy = ((x_val @ weight.T + bias).argmax(1) == y_val).mean()
        points.append(100 * (accuracy - peer.score(x_val, y_val)))
        ratios.append(a / b - 1)
        counts = f"{fit.certificate['passes']} ({fit.certificate['float32_passes']} in float32)"
        rows.append([f"{decay:g}", f"{a:.6f}", f"{at_default:+.1e}", f"{ratios[-1]:+.1e}", f"{100 * accuracy:.2f}",
                     f"{points[-1]:+.2f}", counts, f"{tolerance:g}", str(int(peer.n_iter_.max()))])  # fmt: skip
    show("(a) weight-decay path, objective in float64",
         ["λ", "ours", "scikit-learn's, default tolerance / ours - 1", "ours / scikit-learn's, tolerance needed - 1",
          "our accuracy, %", "points more", "our passes", "tolerance needed", "its iterations"], rows)  # fmt: skip
    found = [f"{mine:.1f}", f"{float32:.1f}", f"{same:.1f}", f"{same / mine:.1f}", f"{default:.1f}",
             f"{default / mine:.1f}", f"{max(ratios):+.1e}", f"{-min(points):.2f}"]  # fmt: skip
    show("", ["ours, s", "ours in float32 alone, s", "scikit-learn to our objective, s", "times faster",
              "scikit-learn at its default, s", "times faster", "most above its objective", "most points below"],
         [found])  # fmt: skip


def bench_sgd(o: argparse.Namespace) -> None:
    """(b) Six weight decays in one pass against one plain torch run of the same schedule, float32."""
    x_ND, y_N = features(o.rows, o.dim, o.classes, signal=o.signal)
    data, x, y = data_of(x_ND, y_N, o.classes), torch.from_numpy(x_ND), torch.from_numpy(y_N)
    fits: dict[str, list] = {}
    models: list[torch.nn.Module] = []

    def ours(precision: str) -> None:
        settings = Settings(weight_decay=GRID, epochs=o.epochs, lr=(0.01,), precision=precision)
        fits[precision] = solve("sgd", data, settings)

    def plain() -> None:
        models[:] = [plain_torch(x, y, o)]

    plain_torch(x[:512], y[:512], argparse.Namespace(**{**vars(o), "epochs": 1}))  # torch.optim's imports
    *times, theirs = medians(o.repeats, lambda: ours("float32"), lambda: ours("bfloat16"), plain)
    rows = []
    with torch.no_grad():
        want = torch.nn.functional.cross_entropy(models[0](x), y).item()
        peer = (models[0](x).argmax(1) == y).float().mean().item()
        for (precision, found), mine in zip(fits.items(), times, strict=True):
            logits = found[GRID.index(1e-3)].head(x)
            loss = torch.nn.functional.cross_entropy(logits, y).item()
            points = 100 * ((logits.argmax(1) == y).float().mean().item() - peer)
            rows.append([precision, f"{mine:.1f}", f"{theirs:.1f}", f"{mine / theirs:.2f}", f"{loss / want - 1:+.1e}",
                         f"{points:+.3f}"])  # fmt: skip
    head = ["products", "six, s", "one by torch, s", "ratio", "loss of the same member / torch's - 1", "points more"]
    show(f"(b) SGD, {o.epochs} epochs: six weight decays together against one torch run", head, rows)


def plain_torch(x: torch.Tensor, y: torch.Tensor, o: argparse.Namespace) -> torch.nn.Module:
    """One run, as anyone would write it, with features in memory; the same start and batches as ours."""
    norm, linear = torch.nn.BatchNorm1d(o.dim), torch.nn.Linear(o.dim, o.classes)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(o.classes, o.dim, generator=torch.Generator().manual_seed(0)) * 0.01)
        linear.bias.zero_()
    model = torch.nn.Sequential(norm, linear).train()
    groups = [{"params": linear.parameters(), "weight_decay": 1e-3}, {"params": norm.parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True)  # upstream decays no scale and shift
    steps = [round(part * o.epochs) for part in sgd.DECAYS]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, steps, 0.1)
    for epoch in range(o.epochs):
        for rows in sgd.batches(len(y), 256, 0, epoch):
            optimizer.zero_grad()
            index = torch.from_numpy(rows)
            torch.nn.functional.cross_entropy(model(x[index]), y[index]).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


def bench_ridge(o: argparse.Namespace) -> None:
    """(c) Twenty weight decays against one, and against one fit of scikit-learn's Ridge."""
    from sklearn.linear_model import Ridge

    x_ND, y_N = features(o.rows, o.dim, o.classes)
    data, t_NC = data_of(x_ND, y_N, o.classes), 2 * np.eye(o.classes, dtype=np.float32)[y_N] - 1
    fits: list = []
    peers: list[Ridge] = []

    def path() -> None:
        fits[:] = solve("ridge", data, Settings(weight_decay=RIDGE))

    def one() -> None:
        solve("ridge", data, Settings(weight_decay=RIDGE[:1]))

    def sklearn() -> None:
        peers[:] = [Ridge(alpha=RIDGE[0] * o.rows, solver="cholesky").fit(x_ND, t_NC)]

    times = medians(o.repeats, path, one, sklearn)
    far = np.abs(fits[0].head.weight.numpy() - peers[0].coef_).max() / np.abs(peers[0].coef_).max()
    found = [f"{v:.2f}" for v in (*times[:2], times[0] / times[1], times[2], times[0] / times[2])]
    head = ["20 weight decays, s", "one, s", "ratio", "one by scikit-learn, s", "20 / scikit-learn's one"]
    show("(c) ridge, Gram matrix included", [*head, "largest difference of a weight"], [[*found, f"{far:.1e}"]])


def bench_memory(o: argparse.Namespace) -> None:
    """(d) Peak resident memory of `python -m probe`, without and with a budget, beside that of a run on 8 columns."""
    here = Path(__file__).parents[1]
    sys.path.insert(0, str(here))
    from conftest import write_set

    from store.root import open_root

    with tempfile.TemporaryDirectory() as folder:
        root, stored = open_root(folder), 0
        for split, rows in (("train", o.rows), ("val", o.rows // 8), ("test", o.rows // 8)):
            x_ND, y_N = features(rows, o.dim, o.classes, seed=1)
            y_N[: o.classes] = np.arange(o.classes)
            for name, columns in (("a", slice(0, o.dim // 2)), ("b", slice(o.dim // 2, o.dim))):
                write_set(root, x_ND[:, columns], {"label": y_N}, dataset="openmoji", split=split, backbone=name,
                          dtype="float16", block_rows=1024)  # fmt: skip
            stored += x_ND.size * 2
        small = 1024 * said(PEAK, folder, "--features", "a[0:8]", "--weight-decay", "1e-2")
        rows_of = []
        for solver, *more in (("lbfgs",), ("ridge",), ("sgd", "--epochs", "2")):
            flags = ["--features", "a,b", "--solver", solver, "--weight-decay", "1e-3,1e-2", *more]
            held = 1024 * said(PEAK, folder, *flags)
            budget = 10**6 * said(NEEDS, folder, *flags, "--memory", "1MB") + stored // 2
            kept = 1024 * said(PEAK, folder, *flags, "--memory", str(budget))
            rows_of.append([solver, f"{held / 1e6:.0f}", f"{(held - small) / stored:.2f}", f"{budget / 1e6:.0f}",
                            f"{kept / 1e6:.0f}", "kept" if kept <= budget else "exceeded"])  # fmt: skip
    head = ["solver", "held, MB", "(held - run on 8 columns) / stored", "--memory, MB", "peak, MB", "budget"]
    show(f"(d) stored features {stored / 1e6:.0f} MB (float16), a run on 8 columns {small / 1e6:.0f} MB", head, rows_of)


REPORT = """
import atexit, sys
from probe.cli import main
atexit.register(lambda: print(open("/proc/self/status").read(), file=sys.stderr))
main(sys.argv[1:])
"""
PEAK, NEEDS = r"VmHWM:\s+(\d+) kB", r"needs (\d+)MB beside the features"  # ru_maxrss begins at the parent's size


def said(what: str, store: str, *flags: str) -> int:
    """The number in what one probe prints to stderr, with its own status at the end."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", REPORT, "--store", store, *flags]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    found = re.search(what, done.stderr)
    assert found is not None, done.stderr
    return int(found[1])


def bench_growth(o: argparse.Namespace) -> None:
    """(e) Seconds at a third, two thirds and all of the rows, and of the columns."""
    x_ND, y_N = features(o.rows, o.dim, o.classes)
    thirds = (1 / 3, 2 / 3, 1)
    shapes = [(int(o.rows * part), o.dim) for part in thirds] + [(o.rows, int(o.dim * part)) for part in thirds]
    lambdas, epochs, rows = (1e-1, 1e-2, 1e-3), 2, []
    for n, d in shapes:
        data = data_of(np.ascontiguousarray(x_ND[:n, :d]), y_N[:n], o.classes)
        fits: list = []

        def lbfgs(data: Data = data, fits: list = fits) -> None:
            fits[:] = solve("lbfgs", data, Settings(weight_decay=lambdas))

        def by_sgd(data: Data = data) -> None:
            solve("sgd", data, Settings(weight_decay=lambdas, epochs=epochs))

        one, two = medians(o.repeats, lbfgs, by_sgd)
        passes = sum(fit.certificate["passes"] for fit in fits)
        unit = 1e9 / (n * d)
        rows.append([str(n), str(d), f"{one:.2f}", str(passes), f"{one * unit / passes:.2f}", f"{two:.2f}",
                     f"{two * unit / epochs:.2f}"])  # fmt: skip
    show("(e) growth; the unit columns are constant where time is linear",
         ["N", "D", "lbfgs, s", "passes", "ns per pass and N D", "sgd, s", "ns per epoch and N D"], rows)  # fmt: skip


BENCHES = {"path": bench_path, "sgd": bench_sgd, "ridge": bench_ridge, "memory": bench_memory, "growth": bench_growth}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("which", nargs="*", default=list(BENCHES), help=", ".join(BENCHES))
    p.add_argument("--rows", type=int, default=20000)
    p.add_argument("--dim", type=int, default=4096)
    p.add_argument("--classes", type=int, default=100)
    p.add_argument("--epochs", type=int, default=28)
    p.add_argument("--repeats", type=int, default=1)
    p.add_argument("--signal", type=float, default=0.35, help="of path and sgd: 0.35 tells classes well apart")
    options = p.parse_args()
    print(f"N = {options.rows}, D = {options.dim}, C = {options.classes}, {torch.get_num_threads()} threads")
    for name in options.which:
        BENCHES[name](options)


if __name__ == "__main__":
    main()
