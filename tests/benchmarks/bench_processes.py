"""Several processes that extract into one store, against one process with as many threads in all.

python tests/benchmarks/bench_processes.py [--images 1024] [--repeats 2] [--backbone random:resnet50]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_extract import TOP, in_turn, line, photos

SHARED = """
import sys
from extract.forward.allocator import keep_memory
keep_memory()
from extract.config import ExtractConfig
from extract.extractor import run
name, folder, store, workers = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
run(ExtractConfig(backbone=(name,), dataset=("folder:" + folder,), split=("train",), store=store, workers=int(workers)))
"""


def processes(name: str, folder: Path, repeats: int) -> None:
    """Two processes of one thread against one process of two threads; all begin when the last has imported torch.

    Half of the images and all of them: what the second half took is the speed without the start.
    """
    files, halved = sorted((folder / "train").rglob("*.jpg")), folder / "half"
    for file in files[::2]:
        link = halved / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.hardlink_to(file)

    def measure(count: int, where: Path) -> float:
        with tempfile.TemporaryDirectory() as store:
            command = [sys.executable, "-c", SHARED, name, str(where), store, str(2 // count)]
            shared = os.environ | {"WORLD_SIZE": str(count), "OMP_NUM_THREADS": str(2 // count)}
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": TOP}
            running = [subprocess.Popen(command, env=shared | {"RANK": str(rank)}, **pipes) for rank in range(count)]
            assert [process.stdout.readline() for process in running] == ["ready\n"] * count
            start = time.perf_counter()
            for process in running:
                process.stdin.write("\n")
                process.stdin.flush()
            assert [process.wait() for process in running] == [0] * count
            return time.perf_counter() - start

    found = in_turn(
        repeats,
        one_half=lambda: measure(1, halved),
        two_half=lambda: measure(2, halved),
        one=lambda: measure(1, folder),
        two=lambda: measure(2, folder),
    )
    half, all_of = len(files[::2]), len(files)
    rows = {
        f"{half} images, start to commit": (found["one_half"], found["two_half"]),
        f"{all_of} images, start to commit": (found["one"], found["two"]),
        f"{all_of - half} images more": (found["one"] - found["one_half"], found["two"] - found["two_half"]),
    }
    for what, (one, two) in rows.items():
        line(f"one process, two threads: {what}", one, "s", 1.0, "peer")
        line(f"two processes, one thread each: {what}", two, "s", one / two, ">= 1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--backbone", default="random:resnet50")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores\n\n| what | median | ratio | goal |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        processes(options.backbone, photos(Path(folder), options.images), options.repeats)


if __name__ == "__main__":
    main()
