"""Extraction against the network alone, and against the plain float32 loop. Real JPEG files, made at the start.

    python tests/benchmarks/bench_extract.py [--images 512] [--repeats 3] [--backbone random:resnet50]

All processes share the machine's cores: decoding threads and the network's threads are both counted in every figure.
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

from extract.allocator import keep_memory

keep_memory()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from extract.config import ExtractConfig  # noqa: E402
from extract.datasets.common import Images  # noqa: E402
from extract.extractor import run  # noqa: E402
from extract.images import decoded, prepare  # noqa: E402
from extract.loading import load  # noqa: E402
from extract.network import CPU_BATCH, Network  # noqa: E402
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


def forward_path(name: str, repeats: int) -> float:
    """Images/s of our model path; prints it against the plain eager loop."""
    loaded = load(name)
    pixels = list(torch.randint(0, 256, (CPU_BATCH, 3, 224, 224), dtype=torch.uint8))
    x_BCHW = torch.randn(CPU_BATCH, 3, 224, 224)
    plain, ours = load(name).net, Network(lambda: loaded, torch.device("cpu"), "auto")
    samples = Samples("made", "train", [str(i) for i in range(CPU_BATCH)], np.ones(CPU_BATCH))
    images = Images(samples, lambda row: pixels[row].permute(1, 2, 0).numpy())
    forward = ours.ready(images, loaded.recipe)

    def eager() -> float:
        start = time.perf_counter()
        with torch.no_grad():
            for _ in range(2):
                plain(x_BCHW)
        return 2 * CPU_BATCH / (time.perf_counter() - start)

    def model() -> float:
        start = time.perf_counter()
        for _ in range(2):
            forward(pixels, loaded.recipe, CPU_BATCH)
        return 2 * CPU_BATCH / (time.perf_counter() - start)

    eager(), model()
    found = in_turn(repeats, eager=eager, model=model)
    line("plain eager float32 loop, NCHW", found["eager"], "images/s", 1.0, "peer")
    goal = ">= 4 with bfloat16" if ours.precision == "bf16" else ">= 1.6 in float32"
    line(f"our model path, {ours.precision}", found["model"], "images/s", found["model"] / found["eager"], goal)
    return found["model"]


def end_to_end(name: str, folder: Path, repeats: int) -> None:
    """The whole of `python -m extract` inside one process, from JPEG files and from memory, over the network alone."""
    loaded = load(name)
    net = Network(lambda: loaded, torch.device("cpu"), "auto")
    files = sorted((folder / "train").rglob("*.jpg"))
    samples = Samples("made", "train", [str(f) for f in files], np.array([f.stat().st_size for f in files]))
    images = Images(samples, lambda row: files[row].read_bytes())
    forward = net.ready(images, loaded.recipe)
    batch = [prepare(images, row, [loaded.recipe]).pixels[loaded.recipe] for row in range(CPU_BATCH)]

    def alone() -> float:
        start = time.perf_counter()
        for _ in range(len(files) // CPU_BATCH):
            forward(batch, loaded.recipe, CPU_BATCH)
        return len(files) // CPU_BATCH * CPU_BATCH / (time.perf_counter() - start)

    def whole() -> float:
        with tempfile.TemporaryDirectory() as store:
            start = time.perf_counter()
            run(ExtractConfig(backbone=(name,), dataset=(f"folder:{folder}",), split=("train",), store=store))
            return len(files) / (time.perf_counter() - start)

    def decode_only() -> float:
        start = time.perf_counter()
        jobs = ((row, [loaded.recipe]) for row in range(len(files)))
        count = sum(1 for _ in decoded(images, jobs, workers=os.cpu_count() or 1, ahead=64))
        return count / (time.perf_counter() - start)

    found = in_turn(repeats, alone=alone, whole=whole, decode_only=decode_only)
    line("network alone, same batch again and again", found["alone"], "images/s", 1.0, "peer")
    line(
        "extract from JPEG files, start to commit",
        found["whole"],
        "images/s",
        found["whole"] / found["alone"],
        ">= 0.90",
    )
    line("decoding alone, all cores", found["decode_only"], "images/s", None, "")


def several_backbones(folder: Path, repeats: int) -> None:
    names = ("random:conv4", "random:conv6", "random:resnet10")

    def measure(groups: list[tuple[str, ...]]) -> float:
        with tempfile.TemporaryDirectory() as store:
            start = time.perf_counter()
            for group in groups:
                run(ExtractConfig(backbone=group, dataset=(f"folder:{folder}",), split=("train",), store=store))
            return time.perf_counter() - start

    found = in_turn(repeats, together=lambda: measure([names]), apart=lambda: measure([(n,) for n in names]))
    line("three small backbones, three runs", found["apart"], "s", 1.0, "peer")
    line("three small backbones from one decode", found["together"], "s", found["apart"] / found["together"], "> 1")


def processes(name: str, folder: Path, repeats: int) -> None:
    """Two processes of one thread against one process of two threads, start of the interpreter included."""

    def measure(count: int) -> float:
        with tempfile.TemporaryDirectory() as store:
            command = [sys.executable, "-m", "extract", "--backbone", name, "--dataset", f"folder:{folder}",
                       "--split", "train", "--store", store, "--workers", str(2 // count)]  # fmt: skip
            start = time.perf_counter()
            running = []
            for rank in range(count):
                environment = os.environ | {
                    "RANK": str(rank),
                    "WORLD_SIZE": str(count),
                    "OMP_NUM_THREADS": str(2 // count),
                }
                running.append(subprocess.Popen(command, env=environment, cwd=TOP, stdout=subprocess.DEVNULL))
            assert [process.wait() for process in running] == [0] * count
            return time.perf_counter() - start

    found = in_turn(repeats, one=lambda: measure(1), two=lambda: measure(2))
    line("one process, two threads", found["one"], "s", 1.0, "peer")
    line("two processes, one thread each", found["two"], "s", found["one"] / found["two"], ">= 1")


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
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--memory-images", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--backbone", default="random:resnet50")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print("| what | median | ratio | goal |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        images = photos(Path(folder), options.images)
        forward_path(options.backbone, options.repeats)
        end_to_end(options.backbone, images, options.repeats)
        several_backbones(images, options.repeats)
        processes("random:resnet18", images, options.repeats)
    flat_memory(options.memory_images)


if __name__ == "__main__":
    main()
