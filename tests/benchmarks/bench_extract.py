"""Extraction against the network alone, and against the plain float32 loop. Real JPEG files, made at the start.

    python tests/benchmarks/bench_extract.py [--images 768] [--repeats 3] [--backbone random:resnet50]

Decoding threads, as many as there are cores, share these cores with as many threads of the network: both are counted
in every figure. The plain loop runs in a process of its own, without our allocator settings, and once with them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from extract.forward.allocator import keep_memory

keep_memory()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from extract import extractor  # noqa: E402
from extract.config import ExtractConfig  # noqa: E402
from extract.datasets.common import Images  # noqa: E402
from extract.forward.network import CPU_BATCH, Network  # noqa: E402
from extract.forward.precision import Forward  # noqa: E402
from extract.images.decoding import decoded, prepare  # noqa: E402
from extract.images.recipes import Recipe  # noqa: E402
from extract.loading import load  # noqa: E402
from store.records import read_records  # noqa: E402
from store.root import open_root  # noqa: E402
from store.samples import Samples  # noqa: E402

TOP = Path(__file__).parents[2]


def photos(folder: Path, count: int) -> Path:
    """JPEGs of 500x375 with structure at every scale, quality 90."""
    rng = np.random.default_rng(0)
    for i in range(count):
        name = folder / "train" / str(i % 4) / f"{i:06d}.jpg"
        name.parent.mkdir(parents=True, exist_ok=True)
        layers = [rng.integers(0, 256, (3 * 2**k, 4 * 2**k, 3), dtype=np.uint8) for k in range(1, 7)]
        large = [
            np.asarray(Image.fromarray(x).resize((500, 375), Image.Resampling.BICUBIC), np.float32) for x in layers
        ]
        Image.fromarray(np.mean(large, axis=0).astype(np.uint8)).save(name, quality=90)
    return folder


def in_turn(repeats: int, **candidates: Callable[[], float]) -> dict[str, float]:
    """Median of each candidate's figure, the candidates taking turns."""
    figures: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, measure in candidates.items():
            figures[name].append(measure())
    return {name: statistics.median(values) for name, values in figures.items()}


def line(what: str, figure: float, unit: str, ratio: float | None, goal: str) -> None:
    print(f"| {what} | {figure:.1f} {unit} | {'' if ratio is None else f'{ratio:.2f}'} | {goal} |", flush=True)


PLAIN = """
import sys, time
if sys.argv[2] == "kept":
    from extract.forward.allocator import keep_memory
    keep_memory()
import torch
from extract.loading import load
net, x_BCHW = load(sys.argv[1]).net, torch.randn(int(sys.argv[3]), 3, 224, 224)
for _ in sys.stdin:
    start = time.perf_counter()
    with torch.no_grad():
        net(x_BCHW)
    print(time.perf_counter() - start, flush=True)
"""


class PlainLoop:
    """`net.eval(); with torch.no_grad(): net(x)` in float32, in its own process; a call gives images/s of one batch."""

    def __init__(self, name: str, allocator: str) -> None:
        command = [sys.executable, "-c", PLAIN, name, allocator, str(CPU_BATCH)]
        self.process = subprocess.Popen(command, cwd=TOP, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self()

    def __call__(self) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return CPU_BATCH / float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


def forward_path(name: str, repeats: int) -> None:
    """Images/s of our model path in each precision class, plain and compiled, over the plain eager loop."""
    pixels = list(torch.randint(0, 256, (CPU_BATCH, 3, 224, 224), dtype=torch.uint8))
    samples = Samples("made", "train", [str(i) for i in range(CPU_BATCH)], np.ones(CPU_BATCH))
    images = Images(samples, lambda row: pixels[row].permute(1, 2, 0).numpy())
    loops = {"plain eager float32 loop": PlainLoop(name, "own"), "the same with our allocator": PlainLoop(name, "kept")}
    candidates: dict[str, Callable[[], float]] = dict(loops)

    def candidate(forward: Forward, recipe: Recipe) -> Callable[[], float]:
        def measure() -> float:
            start = time.perf_counter()
            forward(pixels, recipe, CPU_BATCH)
            return CPU_BATCH / (time.perf_counter() - start)

        measure()
        return measure

    for precision in ("fp32", "bf16"):
        net = Network(lambda: load(name), torch.device("cpu"), precision)
        recipe = net.loaded.recipe
        candidates[f"our model path, {precision}"] = candidate(net.ready(images, recipe), recipe)
        candidates[f"our model path, {precision}, compiled"] = candidate(net.compiled(recipe, CPU_BATCH), recipe)
    found = in_turn(repeats, **candidates)
    peer = found["plain eager float32 loop"]
    goals = {"our model path, fp32": ">= 1.6", "our model path, bf16": ">= 4 where the hardware has it"}
    for what, figure in found.items():
        line(what, figure, "images/s", figure / peer, goals.get(what, ""))
    for loop in loops.values():
        loop.close()


def end_to_end(name: str, folder: Path, repeats: int) -> None:
    """The whole of `python -m extract` inside one process, from JPEG files and from memory, over the network alone.

    `flowing` leaves out what comes before the first block (loading, the comparison with float32): all later blocks
    of a long run are like that.
    """
    loaded = load(name)
    net = Network(lambda: loaded, torch.device("cpu"), "auto")
    files = sorted((folder / "train").rglob("*.jpg"))
    samples = Samples("made", "train", [str(f) for f in files], np.array([f.stat().st_size for f in files]))
    images = Images(samples, lambda row: files[row].read_bytes())
    forward = net.ready(images, loaded.recipe)
    batch = [prepare(images, row, [loaded.recipe]).pixels[loaded.recipe] for row in range(CPU_BATCH)]
    pictures = [np.asarray(Image.open(file).convert("RGB").resize((256, 256))) for file in files[:64]]
    in_memory = Images(samples, lambda row: pictures[row % len(pictures)])
    flowing: dict[str, list[float]] = {"files": [], "memory": []}

    def alone() -> float:
        start = time.perf_counter()
        for _ in range(8):
            forward(batch, loaded.recipe, CPU_BATCH)
        return 8 * CPU_BATCH / (time.perf_counter() - start)

    def whole(source: Images, what: str) -> float:
        with (
            tempfile.TemporaryDirectory() as store,
            mock.patch.object(extractor, "open_dataset", return_value=source),
        ):
            start = time.perf_counter()
            extractor.run(ExtractConfig(backbone=(name,), dataset=("digits",), split=("train",), store=store))
            taken = time.perf_counter() - start
            (record,) = read_records(open_root(store), "extract")
            stages = ("wait_decode", "forward", "wait_store")
            flowing[what].append(len(files) / sum(record.seconds[stage] for stage in stages))
            return len(files) / taken

    def decode_only() -> float:
        start = time.perf_counter()
        jobs = ((row, [loaded.recipe]) for row in range(len(files)))
        count = sum(1 for _ in decoded(images, jobs, workers=os.cpu_count() or 1, ahead=64))
        return count / (time.perf_counter() - start)

    found = in_turn(
        repeats,
        alone=alone,
        files=lambda: whole(images, "files"),
        memory=lambda: whole(in_memory, "memory"),
        decode_only=decode_only,
    )
    line(f"network alone, {net.precision}, the same batch again and again", found["alone"], "images/s", 1.0, "peer")
    for what, goal in (("files", ">= 0.90"), ("memory", ">= 0.97")):
        source = "JPEG files" if what == "files" else "pictures in memory"
        figure = statistics.median(flowing[what])
        line(f"extract from {source}, flowing", figure, "images/s", figure / found["alone"], goal)
        ratio = found[what] / found["alone"]
        line(f"extract from {source}, {len(files)} images, start to commit", found[what], "images/s", ratio, "")
    line("decoding alone, all cores", found["decode_only"], "images/s", None, "")


def several_backbones(folder: Path, repeats: int) -> None:
    names = ("random:conv4", "random:conv6", "random:resnet10")

    def measure(groups: list[tuple[str, ...]]) -> float:
        with tempfile.TemporaryDirectory() as store:
            start = time.perf_counter()
            for group in groups:
                extractor.run(
                    ExtractConfig(backbone=group, dataset=(f"folder:{folder}",), split=("train",), store=store)
                )
            return time.perf_counter() - start

    found = in_turn(repeats, together=lambda: measure([names]), apart=lambda: measure([(n,) for n in names]))
    line("three small backbones, three runs", found["apart"], "s", 1.0, "peer")
    line("three small backbones from one decode", found["together"], "s", found["apart"] / found["together"], "> 1")


def flat_memory(count: int) -> None:
    """Peak memory after a tenth of the images and after all, the same pictures again and again."""
    script = f"""
import resource, sys
import numpy as np, torch
from extract.datasets.common import Images
from extract import extractor
from extract.config import ExtractConfig
from store.samples import Samples
pictures = np.random.default_rng(0).integers(0, 256, (64, 40, 50, 3), dtype=np.uint8)
def images(n):
    samples = Samples("made", "train", [f"{{i:07d}}" for i in range(n)], np.full(n, 6000))
    return Images(samples, lambda row: pictures[row % 64])
for n in ({count // 10}, {count}):
    extractor.open_dataset = lambda *a, **k: images(n)
    store = sys.argv[1] + str(n)
    extractor.run(ExtractConfig(backbone=("pixels",), dataset=("digits",), split=("train",), store=store))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    with tempfile.TemporaryDirectory() as store:
        done = subprocess.run(
            [sys.executable, "-c", script, store + "/"], cwd=TOP, capture_output=True, text=True, check=True
        )
    tenth, whole = map(int, done.stdout.split())
    line(f"peak memory, {count // 10} images", tenth / 1024, "MiB", 1.0, "peer")
    line(f"peak memory, {count} images", whole / 1024, "MiB", whole / tenth, "<= 1.05")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=768)
    parser.add_argument("--memory-images", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--backbone", default="random:resnet50")
    parser.add_argument("--only", nargs="*", help="model, pipeline, several, memory")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print("| what | median | ratio | goal |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        images = photos(Path(folder), options.images)
        parts: dict[str, Callable[[], None]] = {
            "model": lambda: forward_path(options.backbone, options.repeats),
            "pipeline": lambda: end_to_end(options.backbone, images, options.repeats),
            "several": lambda: several_backbones(images, options.repeats),
            "memory": lambda: flat_memory(options.memory_images),
        }
        for part in options.only or parts:
            parts[part]()


if __name__ == "__main__":
    main()
