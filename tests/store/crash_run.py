"""Writes one feature set, to be killed: `python crash_run.py ROOT [--noise X]`. Run by test_crash.py.

With `--kill-after S...` it forks itself for every S, each child into a root of its own, ROOT/0, ROOT/1, ..., and kills
the child S seconds after its start; S of the form `line:N` kills it at the N-th line that it runs in store/, `torn:N`
at the N-th one that finds a half-written file on the disk.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import zarr  # noqa: F401  imported before the fork

import store
from store.features import FeatureSet
from store.fingerprint import Fingerprint
from store.keys import FeatureKey
from store.root import open_root
from store.runtime import run_command
from store.samples import Samples, Targets
from store.writer import FeatureWriter

ROWS, DIM, BLOCK_ROWS = 600, 1024, 64
_HOME = str(Path(store.__file__).parent)


def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float32)


def open_writer(root: str, *, backend: str = "zarr") -> FeatureWriter:
    label = Targets("label", ("a", "b"), np.arange(ROWS) % 2)
    samples = Samples("toy", "train", [f"{i}.png" for i in range(ROWS)], np.full(ROWS, 9), {"label": label})
    fingerprint = Fingerprint(
        weights="w", architecture="made", layer="features", pooling="avg", recipe={}, precision="fp32",
        dtype="float16", samples=samples.id,
    )  # fmt: skip
    key = FeatureKey("toy", "train", "a")
    return FeatureWriter(
        open_root(root), key, fingerprint, samples, DIM, block_rows=BLOCK_ROWS, backend=backend, choices={"pid": 0}
    )


def write(root: str, *, noise: float = 0.0, seed: int | None = None, backend: str = "zarr") -> list[int]:
    """Write what is missing, and commit; returns the blocks that this call made."""
    writer = open_writer(root, backend=backend)
    assert writer.choices == {"pid": 0}
    x_ND = features() + np.float32(noise)
    todo = writer.missing()
    for block in todo if seed is None else np.random.default_rng(seed).permutation(todo).tolist():
        rows = writer.rows(block)
        content = np.random.default_rng(block).integers(0, 256, (len(rows), 16), dtype=np.uint8)
        bad = {rows[3]: f"noise {noise}"} if block == 2 and noise else {}
        writer.write(block, x_ND[rows.start : rows.stop], content, bad)
    assert writer.commit({})
    return todo


def kill_at_line(line: int, *, torn: bool = False) -> list[int]:
    left = [line]

    def counts(frame) -> bool:
        partial = frame.f_locals.get("partial") if frame.f_code.co_name == "_write_partial" else None
        return not torn or bool(partial and partial.exists())

    def trace(frame, event, arg):
        if not frame.f_code.co_filename.startswith(_HOME):
            return None
        left[0] -= event == "line" and counts(frame)
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    return left


def killed(root: str, when: str) -> str:
    """What became of a child that may live for `when`: (lines run,) seconds, and finished or killed."""
    start = time.perf_counter()
    child = os.fork()
    if not child:
        lines = int(when[5:]) if ":" in when else 0
        left = kill_at_line(lines, torn=when.startswith("torn:")) if lines else [0]
        write(root)
        print(lines - left[0], end=" ", flush=True)
        os._exit(0)
    ended, status = 0, 0
    while ":" not in when and not ended and time.perf_counter() - start < float(when):
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.0002)
    if not ended:
        if ":" not in when:
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    return f"{time.perf_counter() - start:.4f} {'finished' if os.WIFEXITED(status) else 'killed'}"


def main(argv=None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--kill-after", nargs="*", default=())
    options = parser.parse_args(argv)
    for i, when in enumerate(options.kill_after):
        print(killed(f"{options.root}/{i}", when), flush=True)
    if not options.kill_after:
        print(len(write(options.root, noise=options.noise, seed=options.seed)))
        assert FeatureSet(open_root(options.root), open_writer(options.root).folder).read().shape == (ROWS, DIM)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("crash_run", main))
