"""A set of 10^8 rows whose blocks are one made block under many names: `python tests/benchmarks/bench_store_scale.py`.

Prints what it costs to open it, to plan what is missing, to serve a random block and a random sample id, each in a
fresh process. Takes 20 s and some MB of disk.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from store import zarr_blocks
from store.columns import make_column, save_column
from store.fingerprint import Fingerprint
from store.keys import FeatureKey
from store.manifest import Manifest
from store.root import open_root
from store.sample_files import load_samples, samples_folder
from store.writer import FeatureWriter

KEY, SAMPLES, BLOCK_ROWS = FeatureKey("big", "train", "a"), "5a" * 32, 4096
ID_BYTES = 24


def made_fingerprint() -> Fingerprint:
    return Fingerprint(
        weights="made", architecture="made", layer="features", pooling="avg", recipe={}, precision="fp32",
        dtype="float16", samples=SAMPLES,
    )  # fmt: skip


def open_writer(url: str, dim: int) -> FeatureWriter:
    root = open_root(url)
    return FeatureWriter(root, KEY, made_fingerprint(), load_samples(root, "big", "train", SAMPLES), dim)


def make(url: str, rows: int, dim: int, missing: tuple[int, ...] = ()) -> FeatureWriter:
    """Everything of an unfinished set of `rows` rows but the `missing` blocks; of its samples the first blocks only."""
    root, below = open_root(url), samples_folder("big", "train", SAMPLES)
    for name, count, dtype, axis, step in (
        ("ids", rows * ID_BYTES, "uint8", "byte", 0), ("offsets", rows + 1, "int64", "edge", ID_BYTES),
        ("sizes", rows, "int64", "sample", 0),
    ):  # fmt: skip
        column = make_column(root, f"{below}/{name}", count, dtype, axis)
        text = np.frombuffer(b"n01234567/img_000000.jpg", np.uint8)
        values = np.arange(column.block_rows) * step if step else np.resize(text, column.block_rows)
        column.write_block(0, values.astype(dtype))
    root.put(f"{below}/samples.json", json.dumps({"format": 1, "id": SAMPLES, "num_samples": rows}).encode())
    writer = open_writer(url, dim)
    x_BD = np.random.default_rng(0).standard_normal((BLOCK_ROWS, dim), np.float32)
    writer.write(0, x_BD, np.zeros((BLOCK_ROWS, 16), np.uint8))
    for array in ("x", "content"):
        folder = root.path(f"{writer.folder}/{array}")
        for block in range(1, writer.num_blocks):
            if block not in missing or array == "content":
                os.link(folder / "c.0.0", folder / f"c.{block}.0")
    return writer


def commit_unread(writer: FeatureWriter, rows: int, dim: int) -> None:
    """Checksums and a manifest without the reading that a commit does."""
    x = zarr_blocks.open_blocks(writer.root, f"{writer.folder}/x")
    checksums = np.full(x.num_blocks, int(x.checksum(0), 16), "<u4")
    save_column(writer.root, f"{writer.folder}/checksums", checksums, "block")
    manifest = Manifest(
        dataset="big", split="train", backbone="a", fingerprint=writer.fingerprint.hex,
        parts=writer.fingerprint.parts(), samples=SAMPLES, num_samples=rows, dim=dim, dtype="float16",
        block_rows=BLOCK_ROWS, backend="zarr", content="",
        checksums=hashlib.sha256(checksums.tobytes()).hexdigest(),
    )  # fmt: skip
    writer.root.put(f"{writer.folder}/manifest.json", manifest.to_json().encode())


STEPS = {
    "open": "x = open_features(url, 'big', 'train', 'a'); x.shape",
    "open, read a random block": "open_features(url, 'big', 'train', 'a').read(slice(4096 * 9999, 4096 * 10000))",
    "open, a sample id": "open_features(url, 'big', 'train', 'a').samples.ids[77]",
    "plan what is missing": "open_writer(url, dim).missing()",
    "plan and list the state, as `store ls` does": "find_sets(open_root(url))",
    "commit": "open_writer(url, dim).commit({})",
}


def measure(url: str, dim: int, step: str) -> tuple[float, float]:
    """Seconds of a step, and the peak memory of its process in MB."""
    code = (
        "import sys, time; url, dim = sys.argv[1], int(sys.argv[2]); sys.path.insert(0, sys.argv[3])\n"
        "from bench_store_scale import open_root, open_writer\n"
        "from store import open_features; import store.concat; from store.inventory import find_sets; import zarr\n"
        f"start = time.perf_counter(); {STEPS[step]}; seconds = time.perf_counter() - start\n"
        "print(seconds, int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1e3)"
    )
    home = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, url, str(dim), home], capture_output=True, text=True, check=True)
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10**8)
    parser.add_argument("--dim", type=int, default=2048)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="bench-store-scale-")
    try:
        start = time.perf_counter()
        writer = make(folder, options.rows, options.dim, missing=(17,))
        print(f"{options.rows} x {options.dim} float16 in {writer.num_blocks} blocks, "
              f"made in {time.perf_counter() - start:.0f} s\n")  # fmt: skip
        print("| step | seconds | peak MB of the process |\n|---|---|---|")
        for step in ("plan what is missing", "plan and list the state, as `store ls` does"):
            print("| {} | {:.2f} | {:.0f} |".format(step, *measure(folder, options.dim, step)), flush=True)
        x = zarr_blocks.open_blocks(open_root(folder), f"{writer.folder}/x")
        os.link(Path(folder, x.key(0)), Path(folder, x.key(17)))
        for step in ("commit", "open", "open, read a random block", "open, a sample id"):
            print("| {} | {:.2f} | {:.0f} |".format(step, *measure(folder, options.dim, step)), flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
