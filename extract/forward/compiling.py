"""torch.compile where it pays: measured once for each network, shape and machine, and remembered."""

import hashlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from types import FrameType

import torch

from extract.forward.known import has_script
from extract.forward.precision import Forward
from extract.images.recipes import Recipe
from extract.images.transforms import input_size
from store.json_text import parse_json
from store.keys import user_path

log = logging.getLogger("extract")

LIMIT_SECONDS = 120.0
"""Compiling that takes longer is given up."""
WORTH_SECONDS = 600.0
"""Of forwarding that is left; with less, nothing is tried."""
MIN_GAIN = 1.05


class _TooLong(BaseException):
    """No `Exception`, so that nothing on the way up takes it for a graph that cannot be compiled."""


def pays(forward: Forward, recipe: Recipe, batch_size: int, name: str, seconds: float) -> bool:
    """Whether to compile `name` for such batches, where about so many seconds of plain forwarding are ahead."""
    if seconds < WORTH_SECONDS or input_size(recipe) is None or forward.device.type == "mps":
        return False
    if has_script(forward.net):  # it brings a compiler of its own
        return False
    file = default_cache() / f"{_key(forward, recipe, batch_size, name)}.json"
    remembered = _read(file)
    if remembered is None:
        log.info("%s: trying torch.compile, for %.0f s at most", name, LIMIT_SECONDS)
        fast = compile_forward(forward, recipe, batch_size)
        plain = min(_seconds(forward, recipe, batch_size) for _ in range(2))
        compiled = min(_seconds(fast, recipe, batch_size) for _ in range(2)) if fast else float("inf")
        remembered = plain / compiled > MIN_GAIN
        log.info("%s: compiled %.2f times as fast, %s", name, plain / compiled, "used" if remembered else "not used")
        _write(file, {"name": name, "pays": remembered, "plain_seconds": plain, "gain": plain / compiled})
    return remembered


def compile_forward(forward: Forward, recipe: Recipe, batch_size: int) -> Forward | None:
    """The same forward pass, compiled for this shape; None, and a line in the log: not to be had here or in time."""
    fast = copy(forward)
    try:
        with time_limit(LIMIT_SECONDS):
            vars(fast)["net"] = torch.compile(forward.net, dynamic=False)
            _seconds(fast, recipe, batch_size)
    except _TooLong:
        reason = f"not done after {LIMIT_SECONDS:.0f} s"
    except Exception as error:  # noqa: BLE001 - no C++ compiler, no Triton, a forward that cannot be traced ...
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    else:
        return fast
    torch.compiler.reset()
    log.warning("torch.compile cannot be used, going on without: %s", reason)
    return None


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `_TooLong` inside the block after so long; only the main thread of a Unix process can be interrupted."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def default_cache() -> Path:
    """Where verdicts are remembered: `motherlode/compile` in the user's cache directory."""
    return user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "motherlode" / "compile"


def _seconds(forward: Forward, recipe: Recipe, batch_size: int) -> float:
    """Of one batch of black images."""
    size = input_size(recipe)
    assert size is not None
    start = time.perf_counter()
    forward([torch.zeros((3, *size), dtype=torch.uint8)], recipe, batch_size)
    return time.perf_counter() - start


def _key(forward: Forward, recipe: Recipe, batch_size: int, name: str) -> str:
    """Of the network, the shape and the machine."""
    device = forward.device
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    parts = (name, forward.precision, forward.dim, input_size(recipe), batch_size, hardware, torch.__version__)
    return hashlib.sha256(repr((*parts, torch.get_num_threads())).encode()).hexdigest()[:32]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith("model name")), "")


def _read(file: Path) -> bool | None:
    try:
        found = parse_json(file.read_text())["pays"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, bool) else None


def _write(file: Path, verdict: dict[str, object]) -> None:
    part = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(verdict))
        part.replace(file)
    except OSError as error:
        log.warning("not remembered, %s: %s", file, error)
