"""What every command shares: rank and size, logging, progress, versions."""

import errno
import io
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

from store.errors import UserError
from store.flags import shown

LINE_SECONDS = 30.0
MOST_LETTERS = 4000
"""The most that is printed of an error text, which may quote a file or a flag."""


def rank() -> int:
    """Which of the processes of torchrun (RANK) or of a Slurm array (SLURM_ARRAY_TASK_ID) this is."""
    if "RANK" in os.environ:
        return int(os.environ["RANK"])
    return int(os.environ.get("SLURM_ARRAY_TASK_ID", "0")) - int(os.environ.get("SLURM_ARRAY_TASK_MIN", "0"))


def size() -> int:
    """How many processes share the work."""
    return int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_ARRAY_TASK_COUNT") or "1")


def num_cores() -> int:
    """Cores that this process may use; on macOS all that there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers() -> int:
    """Decoding threads: one a core, 16 at most; the ranks that torchrun starts on one machine share its cores."""
    return max(1, min(16, num_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


class _Plain(logging.Formatter):
    """Names of files and classes may hold control characters: none of them reaches the terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return shown(super().formatMessage(record), MOST_LETTERS)


def set_up_logging(*, verbose: bool = False) -> None:
    """Logs go to stderr; stdout carries results."""
    prefix = f"[{rank()}/{size()}] " if size() > 1 else ""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain(f"{prefix}%(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)
    for noisy in ("faiss", "PIL", "urllib3", "botocore", "werkzeug", "matplotlib", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def run_command(prog: str, main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Run a command's `main`: a `UserError` is printed and exits 2, Ctrl-C exits 130, a bug keeps its traceback."""
    set_up_logging()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    try:
        return main(argv)
    except UserError as error:
        sys.stdout.flush()  # what was printed comes before the error, on a pipe too
        print(f"{prog}: {shown(str(error), MOST_LETTERS)}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `| head`
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        print(f"{prog}: a name is too long for this file system: {str(error.filename)[:80]}...", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{prog}: stopped; what is complete is kept: run the same command again", file=sys.stderr)
        return 130


class Progress:
    """A bar on a terminal, a line every 30 s elsewhere; always on stderr."""

    def __init__(self, total: int, what: str, unit: str = "images") -> None:
        self.total, self.what, self.unit, self.done = total, what, unit, 0
        self._start = self._said = time.monotonic()
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=what, unit=f" {unit}", file=sys.stderr)

    def update(self, count: int) -> None:
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif (now := time.monotonic()) - self._said >= LINE_SECONDS:
            self._said = now
            speed = self.done / (now - self._start)
            left = (self.total - self.done) / speed if speed else float("inf")
            logging.getLogger("progress").info(
                "%s: %d of %d %s, %.1f/s, %.0f s left", self.what, self.done, self.total, self.unit, speed, left
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()


def versions() -> dict[str, str]:
    """Versions of this package and of what its numbers depend on, without importing any of it."""
    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for name in ("motherlode", "torch", "torchvision", "numpy", "zarr", "pillow", "timm", "scikit-learn", "faiss-cpu"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
