"""A process that runs commands in forks (sweep_run.py), kept for all tests that have any to run."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TOP = Path(__file__).parents[1]
Case = tuple[str, list[str]]
"""(module, arguments)"""
Found = list[tuple[Case, dict[str, object]]]


class Sweep:
    """Starts when the first case comes; what the cases run on is made then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[str]] = []

    def run(self, cases: Sequence[Case], jobs: int = 1) -> Found:
        """Each case with what came of it: code, seconds, out, err."""
        while len(self._processes) < jobs:
            self._processes.append(self._start(len(self._processes)))
            self._ask(self._processes[-1], ("store", ["ls", "--store", "store"]))  # one makes, the others find
        found: Found = []
        for i in range(0, len(cases), jobs):
            some = list(zip(self._processes, cases[i : i + jobs], strict=False))
            for process, case in some:
                self._write(process, case)
            found += [(case, self._read(process)) for process, case in some]
        return found

    def close(self) -> None:
        for process in self._processes:
            process.communicate()

    def _start(self, number: int) -> "subprocess.Popen[str]":
        env = {**os.environ, "PYTHONPATH": str(TOP), "OMP_NUM_THREADS": "1", "HOME": str(self.folder)}
        command = [sys.executable, str(TOP / "tests" / "sweep_run.py"), str(self.folder)]
        with (self.folder / f"{number}.log").open("w") as log:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=env
            )

    def _ask(self, process: "subprocess.Popen[str]", case: Case) -> None:
        self._write(process, case)
        self._read(process)

    def _write(self, process: "subprocess.Popen[str]", case: Case) -> None:
        assert process.stdin is not None
        process.stdin.write(json.dumps(case) + "\n")
        process.stdin.flush()

    def _read(self, process: "subprocess.Popen[str]") -> dict[str, object]:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the runner itself ended: {[log.read_text()[-2000:] for log in self.folder.glob('*.log')]}"
        found: dict[str, object] = json.loads(line)
        return found
