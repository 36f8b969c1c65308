"""`make reproduce`: the paper's claims at small scale on real images, by this project's own commands.

    python tests/reproduce/run.py [--repeats 3] [--only fashion|emoji] [--folder data/reproduce]

Trains small networks on Fashion-MNIST and emoji, two at a time, and writes its table into docs/RESULTS.md. What is
there is not made again: stop it and run it again at will. Fashion-MNIST: apt-get install dataset-fashion-mnist, or
python -m extract --backbone pixels --dataset fashion_mnist --download; emoji: the same with --dataset emoji.
"""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).parents[2]
sys.path[:0] = [str(TOP), str(Path(__file__).parent)]

import claims  # noqa: E402
import pictures  # noqa: E402
import plan  # noqa: E402

from store.errors import UserError  # noqa: E402


def main() -> int:
    p = argparse.ArgumentParser(description="Reproduce the paper's claims at small scale.")
    p.add_argument("--repeats", type=int, default=3, help="each with classes and networks of its own (%(default)s)")
    p.add_argument("--only", choices=("fashion", "emoji"), help="one half")
    p.add_argument("--folder", type=Path, default=Path("data/reproduce"), help="%(default)s")
    p.add_argument("--jobs", type=int, default=2, help="commands side by side (%(default)s)")
    options = p.parse_args()
    folder = options.folder.resolve()
    kinds = (options.only,) if options.only else ("fashion", "emoji")
    for kind in kinds:
        pictures.check(kind)
    for repeat in range(options.repeats):
        for kind in kinds:
            run(kind, repeat, folder, options.jobs)
    print(claims.write(folder, options.repeats, TOP / "docs/RESULTS.md"))
    return 0


def run(kind: str, repeat: int, folder: Path, jobs: int) -> None:
    """Every command of one half of a repeat."""
    images, own = folder / "images", folder / f"{kind}-r{repeat}"
    if (own / "done").is_file():
        return
    images.mkdir(parents=True, exist_ok=True)
    own.mkdir(exist_ok=True)
    base, novel = getattr(pictures, kind)(images, repeat)
    start = time.monotonic()
    try:
        for stage in getattr(plan, kind)(repeat, base, novel, own):
            with ThreadPoolExecutor(jobs) as pool:
                list(pool.map(lambda command: call(command, own), stage))
    finally:
        seconds = spend(own / "seconds", time.monotonic() - start)
    print(f"{kind}, repeat {repeat + 1}: {seconds:.0f} s", file=sys.stderr, flush=True)
    (own / "done").touch()


def call(command: plan.Command, own: Path) -> None:
    """One command, unless its document is there; one thread each."""
    document = own / f"{command.name}.json"
    if command.name and document.is_file():
        return
    line = [sys.executable, "-m", command.module, *command.flags]
    done = subprocess.run(
        line, cwd=TOP, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(line)}\n{done.stderr[-3000:]}")
    if command.name:
        document.with_suffix(".partial").write_text(done.stdout)
        document.with_suffix(".partial").replace(document)


def spend(file: Path, seconds: float) -> float:
    """Add to the time that all calls of this command took together; returns it."""
    total = seconds + (float(file.read_text()) if file.is_file() else 0.0)
    file.write_text(f"{total}")
    return total


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"reproduce: {error}")
