"""The store against a raw file: `python tests/benchmarks/bench_store.py [--rows 60000] [--dim 2048] [--folder DIR]`.

Reads and writes one float16 set and prints a ratio for each claim, against numpy on the same matrix in the same run,
interleaved, page cache warm. Needs about 2 GB of disk and 2 GB of memory.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from store import open_features
from store.batches import sequential
from store.features import FeatureSet
from store.fingerprint import Fingerprint
from store.inventory import find_sets
from store.keys import FeatureKey
from store.manifest import Manifest
from store.root import Root, open_root
from store.samples import Samples, Targets
from store.writer import FeatureWriter

REPEATS = 7


def write(root: Root, name: str, x_ND: np.ndarray, samples: Samples) -> FeatureSet:
    made = Fingerprint(
        weights=name, architecture="made", layer="features", pooling="avg", recipe={}, precision="fp32",
        dtype="float16", samples=samples.id,
    )  # fmt: skip
    writer = FeatureWriter(root, FeatureKey("bench", "train", name), made, samples, x_ND.shape[1])
    content = np.zeros((writer.block_rows, 16), np.uint8)
    for block in writer.missing():
        rows = writer.rows(block)
        writer.write(block, x_ND[rows.start : rows.stop], content[: len(rows)])
    assert writer.commit({})
    return FeatureSet(root, writer.folder)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(ours: Callable[[], object], peer: Callable[[], object], repeats: int = REPEATS) -> tuple[float, float]:
    """Median seconds of both, run in turns."""
    pairs = [(seconds(ours), seconds(peer)) for _ in range(repeats + 1)][1:]
    a, b = zip(*pairs, strict=True)
    return statistics.median(a), statistics.median(b)


def report(claim: str, ours: float, peer: float, target: str, amount: float = 0.0, unit: str = "GB/s") -> None:
    told = [f"{amount / s:.2f} {unit}" if amount else f"{1000 * s:.2f} ms" for s in (ours, peer)]
    print(f"| {claim} | {told[0]} | {told[1]} | {peer / ours:.2f} | {target} |", flush=True)


def peak_of_a_pass(root: str, names: str, dtype: str) -> float:
    """Bytes by which a streamed pass raises the peak memory of a fresh process."""
    code = (
        "import sys; from store import open_features; from store.batches import sequential\n"
        "x = open_features(sys.argv[1], 'bench', 'train', sys.argv[2]); x.read(slice(0, 1))\n"
        "def peak(): return int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        "with open('/proc/self/clear_refs', 'w') as f: f.write('5')  # VmHWM starts again from what is in use\n"
        "before = peak()\n"
        "for _, batch in sequential(x, dtype=sys.argv[3]): pass\n"
        "print(1024 * (peak() - before))"
    )
    done = subprocess.run([sys.executable, "-c", code, root, names, dtype], capture_output=True, text=True, check=True)
    return float(done.stdout)


def many_sets(root: Root, count: int) -> None:
    """`count` committed sets, by writing one and copying its manifest under other names."""
    samples = Samples("many", "train", ["a"], np.ones(1))
    first = write(root, "first", np.zeros((1, 2), np.float16), samples)
    values = {**json.loads(root.get(f"{first.folder}/manifest.json"))}
    values.pop("manifest_sha256")
    for i in range(count - 1):
        manifest = Manifest(**{**values, "dataset": f"many{i % 10}", "backbone": f"backbone{i}"})
        root.put(f"{manifest.key.folder}/{manifest.fingerprint}/manifest.json", manifest.to_json().encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60000)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--folder", help="where to work (default: a temporary folder)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-store-", dir=options.folder))
    try:
        bench(folder, options.rows, options.dim)
    finally:
        shutil.rmtree(folder)


def bench(folder: Path, count: int, dim: int) -> None:
    x_ND = np.random.default_rng(0).standard_normal((count, dim), np.float32).astype(np.float16)
    gigabytes, root = x_ND.nbytes / 1e9, open_root(folder / "features")
    label = Targets("label", tuple(map(str, range(10))), np.arange(count) % 10)
    samples = Samples("bench", "train", [f"{i:07d}.png" for i in range(count)], np.full(count, 9), {"label": label})
    npy = folder / "x.npy"

    print(f"{count} x {dim} float16, {gigabytes:.2f} GB; medians of {REPEATS}\n")
    print("| claim | ours | peer | ratio | target |\n|---|---|---|---|---|")
    number = [0]

    def write_ours() -> None:
        number[0] += 1
        write(root, f"w{number[0]}", x_ND, samples)
        shutil.rmtree(root.path(FeatureKey("bench", "train", f"w{number[0]}").folder))

    write(root, "warm", x_ND[:1], Samples("warm", "train", ["a"], np.ones(1)))

    def write_raw() -> None:
        for block in range(0, count, 4096):
            with (folder / f"raw{block}").open("wb", buffering=0) as file:
                file.write(x_ND[block : block + 4096].data)
                os.fsync(file.fileno())
            (folder / f"raw{block}").unlink()

    ours, peer = compare(write_ours, write_raw, repeats=3)
    report("write with checksums, synced, against write and fsync", ours, peer, ">= 0.5 GB/s", gigabytes)
    np.save(npy, x_ND)
    for name in "abc":
        write(root, name, x_ND, samples)

    def one(dtype: type) -> Callable[[], np.ndarray]:
        return lambda: open_features(root, "bench", "train", "a").read(slice(None), np.empty(x_ND.shape, dtype))

    ours, peer = compare(one(np.float16), lambda: np.load(npy))
    report("read all, new handle (checks every checksum), against np.load", ours, peer, ">= 0.7", gigabytes)

    def believing() -> np.ndarray:
        x = open_features(root, "bench", "train", "a")
        x.parts[0].blocks.committed = None
        return x.read(slice(None), np.empty(x_ND.shape, np.float16))

    ours, peer = compare(one(np.float16), believing, repeats=3 * REPEATS)
    report("the same, against blocks that are checked by themselves alone, not by the manifest", ours, peer, ">= 0.97",
           gigabytes)  # fmt: skip
    held = open_features(root, "bench", "train", "a")
    ours, peer = compare(lambda: held.read(slice(None), np.empty(x_ND.shape, np.float16)), lambda: np.load(npy))
    report("read all, same handle, against np.load", ours, peer, ">= 0.7", gigabytes)
    ours, peer = compare(one(np.float32), lambda: np.load(npy).astype(np.float32))
    report("read all as float32, new handle, against np.load().astype", ours, peer, ">= 0.7", gigabytes)

    wide, copies = np.empty((count, 3 * dim), np.float16), [x_ND.copy() for _ in range(3)]
    three = open_features(root, "bench", "train", "a,b,c")

    def copy() -> None:
        for i, part in enumerate(copies):
            wide[:, i * dim : (i + 1) * dim] = part

    def fresh() -> None:
        open_features(root, "bench", "train", "a,b,c").read(slice(None), wide)

    ours, peer = compare(lambda: three.read(slice(None), wide), copy)
    report("3-set concatenation into one buffer, against the memory copy", ours, peer, ">= 0.5", 3 * gigabytes)
    ours, peer = compare(fresh, copy)
    report("the same with new handles (checks every checksum)", ours, peer, ">= 0.5", 3 * gigabytes)
    rng, mapped = np.random.default_rng(1), np.load(npy, mmap_mode="r")
    picks = [np.sort(rng.choice(count, 512, replace=False)) for _ in range(50)]
    out = np.empty((512, dim), np.float16)
    ours, peer = compare(
        lambda: [held.read(rows, out) for rows in picks], lambda: [np.take(mapped, rows, 0, out) for rows in picks]
    )
    report("512 sorted random rows, against np.memmap", ours / 50, peer / 50, ">= 0.5")

    small = Samples("small", "train", ["a"], np.ones(1))
    tiny = write(open_root(folder / "small"), "a", np.zeros((1, 2), np.float16), small)
    stored = held.parts[0]
    ours, peer = compare(
        lambda: [FeatureSet(root, stored.folder).blocks for _ in range(20)],
        lambda: [FeatureSet(tiny.root, tiny.folder).blocks for _ in range(20)],
    )
    report("open a committed set, against one of a single row", ours / 20, peer / 20, "< 20 ms")

    many = open_root(folder / "many")
    many_sets(many, 1000)
    listing = statistics.median(seconds(lambda: find_sets(many)) for _ in range(5))
    assert len(find_sets(many)) == 1000
    print(f"| list 1000 sets | {listing:.2f} s | | | < 1 s |")

    block = stored.manifest.block_rows * dim * 2
    for names, dtype in (("a", "float16"), ("a", "float32"), ("a,b,c", "float32")):
        parts = len(names.split(","))
        peak = peak_of_a_pass(root.url, names, dtype)
        blocks = f"{block * parts / 1e6:.0f} MB of blocks"
        print(f"| peak memory of a pass over {names} as {dtype} | {peak / 1e6:.0f} MB | {blocks} "
              f"| {peak / block / parts:.2f} | < 2 |")  # fmt: skip
    passed = seconds(lambda: [None for _ in sequential(three, dtype="float32")])
    print(f"| stream 3 parts as float32 | {3 * gigabytes / passed:.2f} GB/s stored | | | |")
    print(f"\npeak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
