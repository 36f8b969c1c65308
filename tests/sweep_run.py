"""Runs commands in forks of one process, each over links of a small made store: `python sweep_run.py FOLDER < CASES`.

CASES are JSON lines [module, [argument, ...]]; for each one a JSON line {"code", "seconds", "out", "err"} comes back.
The store is made in FOLDER where it is not there yet. A
fork has limits of memory, time and size of file, and no network. It runs in a folder of links to what `make` made, so
that what it removes or replaces is there again for the next. Run by test_flag_sweep.py and test_advice.py.
"""

import contextlib
import gc
import importlib
import json
import os
import resource
import shutil
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from store.runtime import run_command

SECONDS, BYTES, FILE_BYTES = 30, 3 << 30, 1 << 28
"""Of a fork: time, memory beyond what this process has, the largest file."""
MODULES = ("extract.extractor", "extract.finetune", "extract.distill", "extract.bonsai", "extract.heads",
           "extract.download", "extract.doctor", "extract.training.jobs", "probe.run", "probe.report.cli",
           "probe.predict", "probe.search.run", "probe.solvers.lbfgs", "fewshot.evaluate", "store.cli")  # fmt: skip
OUTPUT = 20_000
"""Letters that are kept of what a fork printed."""


def make(data: Path) -> dict[str, str]:
    """Pictures in `data`; in the working directory their features under two backbones, a trained network, a head and
    records. Returns what CASES write for what is only known here: HEAD, DATA.
    """
    data.mkdir()
    rng = np.random.default_rng(0)
    lines = ["path,label,site,unit,split"]
    for i in range(48):
        split = ("train", "train", "val", "test")[i % 4]
        pixels = rng.integers(0, 120, (16, 16, 3)) + 100 * (i // 4 % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(data / f"{i:02d}.png")
        lines.append(f"{i:02d}.png,{'ab'[i // 4 % 2]},{'xyz'[i // 8 % 3]},u{i},{split}")
    photos = data / "photos.csv"
    photos.write_text("\n".join(lines) + "\n")
    dataset = ["--dataset", f"csv:{photos}"]
    tiny = [*dataset, "--epochs", "1", "--batch", "8", "--image-size", "32", "--workers", "1"]
    run(
        "extract.pretrain",
        ["--arch", "conv4w0.25", *tiny, "--recipe", "small", "--name", "tiny", "--backbones", "nets"],
    )
    run("extract", ["--backbone", "pixels", *dataset, "--store", "store"])
    run("extract", ["--backbone", "tiny", *dataset, "--store", "store", "--backbones", "nets"])
    both = [*dataset, "--store", "store"]
    run("probe", ["--features", "pixels", "--features", "pixels,tiny", "--group", "site", *both])
    run("probe.search", ["--features", "pixels,tiny", *both, "--confirm", "1"])
    run("fewshot", ["--features", "pixels", "--ways", "2", "--queries", "2", "--shots", "1", "--episodes", "4", *both,
                    "--write-episodes", "episodes.npz"])  # fmt: skip
    run("store", ["export", "features.npz", "--features", "tiny", "--split", "train", *both])
    return {"HEAD": min(path.stem for path in Path("store/heads").iterdir()), "DATA": f"csv:{photos}"}


def run(module: str, argv: list[str]) -> int:
    """The exit code of a command."""
    names = (module, f"{module}.cli")
    found = next(m for m in (importlib.import_module(name) for name in names if _is_there(name)) if hasattr(m, "main"))
    try:
        return run_command(module, found.main, argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1


def _is_there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def fork(module: str, argv: list[str], here: Path) -> dict[str, Any]:
    """Run one command in a child, its output in files."""
    start = time.monotonic()
    if not (pid := os.fork()):
        _child(module, argv, here)
    _, status = os.waitpid(pid, 0)
    texts = {name: (here / f".{name}").read_text(errors="replace")[-OUTPUT:] for name in ("out", "err")}
    return {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - start, **texts}


def _child(module: str, argv: list[str], here: Path) -> NoReturn:
    code = 99
    try:
        os.chdir(here)
        for number, name, flags in ((0, os.devnull, os.O_RDONLY), (1, ".out", _NEW), (2, ".err", _NEW)):
            os.dup2(os.open(name, flags, 0o600), number)
        sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115 -- as Python does
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        signal.alarm(4 * SECONDS)  # other work may hold the processor
        socket.socket.connect = _no_network  # type: ignore[method-assign]
        code = run(module, argv)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def _no_network(*_: object) -> NoReturn:
    raise OSError("there is no network in this test")


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    made, here, told = folder / "made", folder / f"here-{os.getpid()}", folder / "known.json"
    if not told.exists():
        made.mkdir(parents=True)
        os.chdir(made)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
            told.write_text(json.dumps(make(folder / "data")))
    known = json.loads(told.read_text())
    for name in MODULES:
        importlib.import_module(name)  # so that forks need not
    gc.freeze()
    os.chdir(folder)
    for line in sys.stdin:
        module, argv = json.loads(line)
        if not here.exists():
            shutil.copytree(made, here, copy_function=os.link)
        found = fork(module, [known.get(word, word) for word in argv], here)
        if found["code"] != 2 or module.startswith("extract"):  # else what was refused has changed nothing
            shutil.rmtree(here)
        print(json.dumps(found), flush=True)
    shutil.rmtree(here, ignore_errors=True)


if __name__ == "__main__":
    main()
