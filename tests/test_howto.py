"""The code of the how-tos, done as they say: a solver, a dataset, a backbone."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from extract.loading import load
from probe.data import Data, Held
from probe.prepare import Prepare
from probe.solvers import SOLVERS, Settings
from store.errors import BadValue

DOCS = Path(__file__).parents[1] / "docs"


def code(document: str, nth: int = 0) -> str:
    """The nth block of Python in a document, its indentation taken away."""
    block = re.findall(r"( *)```python\n(.*?)```", (DOCS / document).read_text(), re.DOTALL)[nth]
    return re.sub(rf"(?m)^{block[0]}", "", block[1])


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`module(name, text)`: a module of that text, as if its file were in the working directory."""

    def made(name: str, text: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield made
    for name in ("mynets", "mysolver", "flowers"):
        sys.modules.pop(name, None)


def test_a_solver(module) -> None:
    solver = module("mysolver", code("adding-a-solver.md"))
    rng = np.random.default_rng(0)
    y_N = np.arange(60) % 3
    x_ND = (4 * np.eye(3)[y_N] + rng.normal(size=(60, 3))).astype(np.float32)
    here = np.arange(60)
    data = Data(((Held(x_ND), here),), here, y_N, 3, Prepare([3], [[]]), torch.device("cpu"))
    (fit,) = solver.fit(data, Settings(weight_decay=()))
    assert (fit.head(torch.from_numpy(x_ND)).argmax(1).numpy() == y_N).mean() > 0.9
    assert {"file", "what", "weight_decay", "probabilities"} <= SOLVERS["nearest"].__dataclass_fields__.keys()


def test_a_dataset(module, tmp_path) -> None:
    reader = module("flowers", code("adding-a-dataset.md"))
    folder = tmp_path / "images"
    folder.mkdir()
    lines = []
    for i, garden in enumerate(("north", "south", "west")):
        Image.new("RGB", (8, 8), (40 * i, 0, 0)).save(folder / f"{i}.png")
        lines.append(f"{i}.png {i + 1:03d} {garden}")
    (folder / "train.txt").write_text("\n".join(lines))
    images = reader.open_split("flowers", "train", folder)
    assert images.samples.target("garden").classes == ("north", "east", "south", "west")
    assert [int(i) for i in images.samples.target("label").index] == [0, 1, 2]
    assert images.read(0)[:4] == b"\x89PNG"
    with pytest.raises(BadValue, match="Fetch flowers"):
        reader.open_split("flowers", "test", folder)


def test_a_backbone(module, tmp_path) -> None:
    net = module("mynets", code("adding-a-backbone.md")).tuned()
    torch.save({"state_dict": net.state_dict()}, tmp_path / "tuned.pt")
    loaded = load("mynets:tuned", weights=str(tmp_path / "tuned.pt"))
    x_BCHW = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.net.eval()(x_BCHW), net.eval()(x_BCHW))
