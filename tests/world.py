"""A folder of pictures of noise, the commands on it, and a store: for tests of what changes between two commands."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import extract.cli
import probe.cli
import probe.search.cli
import store.cli
from store.errors import UserError


class World:
    """A folder of pictures of noise, the commands on it, and a store."""

    def __init__(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.images, self.store = tmp_path / "img", tmp_path / "store"
        self.source = f"folder:{self.images}"
        self._capsys, self._rng = capsys, np.random.default_rng(0)

    def noise(self, name: str) -> None:
        path = self.images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self._rng.integers(0, 256, (24, 24, 3), np.uint8)).save(path)

    def split(self, split: str, count: int) -> None:
        for name in "abc":
            for i in range(count):
                self.noise(f"{split}/{name}/{i}.bmp")

    def listed(self, rows: list[tuple[str, str, str]]) -> None:
        lines = ["path,label,split", *(",".join(row) for row in rows)]
        (self.images / "list.csv").write_text("\n".join(lines) + "\n")
        self.source = f"csv:{self.images / 'list.csv'}"

    def call(self, command: Any, *argv: str) -> Any:
        assert command.main([*argv, "--store", str(self.store)]) == 0
        return self._capsys.readouterr().out

    def extract(self, *argv: str, backbone: str = "pixels") -> dict[str, tuple[int, int]]:
        """{split: (extracted, reused)}"""
        out = self.call(extract.cli, "--backbone", backbone, "--dataset", self.source, "--json", *argv)
        return {row["split"]: (row["extracted"], row["reused"]) for row in json.loads(out)}

    def relabel(self) -> None:
        self.call(extract.cli, "--relabel", "--dataset", self.source)

    def probe(self, *argv: str, features: str = "pixels", dataset: str = "") -> dict[str, Any]:
        asked = ["--features", features, "--dataset", dataset or self.source, "--json"]
        (row,) = json.loads(self.call(probe.cli, *asked, *argv))["rows"]
        return dict(row)

    def advised(self, error: pytest.ExceptionInfo[UserError]) -> None:
        """Run the command that an error advises."""
        words = shlex.split(str(error.value).partition("python -m ")[2].partition("; or")[0])
        command = {"extract": extract.cli, "store": store.cli}[words[0]]
        assert command.main(words[1:]) == 0
        self._capsys.readouterr()
