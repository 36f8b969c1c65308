"""One thing changed at a time: each change that moves features makes another set, and nothing else does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from extract.config import ExtractConfig
from extract.extractor import Made, run
from extract.images.recipes import RECIPES
from extract.loading import load
from store import open_features

Run = Callable[..., Made]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A CSV file of six images; returns it."""
    rng = np.random.default_rng(0)
    for i in range(6):
        Image.fromarray(rng.integers(0, 256, (90, 90, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    return listed(tmp_path / "list.csv", [(f"{i}.png", "cat" if i % 2 else "dog") for i in range(6)])


def listed(file: Path, rows: list[tuple[str, str]]) -> Path:
    file.write_text("path,label,split\n" + "".join(f"{path},{label},train\n" for path, label in rows))
    return file


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "conv4.pt"
    torch.save(load("random:conv4").net.state_dict(), file)
    return file


@pytest.fixture
def extract(images: Path, weights: Path, tmp_path: Path) -> Run:
    def extract(**options: object) -> Made:
        settings = {"backbone": ("conv4",), "weights": str(weights), "split": ("train",), "precision": "fp32"}
        made = run(ExtractConfig(dataset=(f"csv:{images}",), store=str(tmp_path / "store"), **(settings | options)))  # type: ignore[arg-type]
        return made[-1]

    return extract


def test_one_weight(extract: Run, weights: Path) -> None:
    first = extract()
    state = torch.load(weights, weights_only=True)
    name = next(name for name in state if name.endswith("weight"))
    state[name].view(-1)[0] += 1e-3
    torch.save(state, weights)
    second = extract()
    assert second.fingerprint != first.fingerprint
    assert second.extracted == 6


@pytest.mark.parametrize(
    "change",
    [
        {"crop": 80},
        {"resize": (97, 97)},
        {"interpolation": "bicubic"},
        {"mean": (0.485, 0.456, 0.407)},
        {"std": (0.228, 0.224, 0.225)},
        {"decoder": "another"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_recipe(extract: Run, change: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    first = extract()
    name = next(name for name, recipe in RECIPES.items() if recipe == load("random:conv4").recipe)
    monkeypatch.setitem(RECIPES, name, replace(RECIPES[name], **change))  # type: ignore[arg-type]
    second = extract()
    assert (second.fingerprint != first.fingerprint, second.extracted) == (True, 6)


def test_dtype_precision_and_view(extract: Run) -> None:
    made = [extract(), extract(dtype="float32"), extract(precision="bf16"), extract(views=2), extract(views=2, seed=1)]
    assert len({row.fingerprint for row in made}) == 5
    assert all(row.extracted == 6 for row in made)


def test_one_sample_or_their_order(extract: Run, images: Path) -> None:
    rows = [(f"{i}.png", "cat" if i % 2 else "dog") for i in range(6)]
    fingerprints = {extract().fingerprint}
    for changed in (rows[:-1], [rows[1], rows[0], *rows[2:]]):
        listed(images, changed)
        made = extract()
        assert (made.extracted, made.reused) == (0, len(changed))
        fingerprints.add(made.fingerprint)
    assert len(fingerprints) == 3


def test_a_label_needs_no_extraction_but_is_seen(extract: Run, images: Path, tmp_path: Path) -> None:
    def target_hash() -> str:
        return open_features(str(tmp_path / "store"), f"csv:{images}", "train", "conv4").samples.target().hash

    first, before = extract(), target_hash()
    listed(images, [(f"{i}.png", "cat" if i % 3 else "dog") for i in range(6)])
    second = extract()
    assert (second.fingerprint, second.extracted, second.state) == (first.fingerprint, 0, "complete")
    assert target_hash() != before


def test_what_moves_no_feature_makes_no_other_set(extract: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = extract()
    for options in ({"batch_size": 3}, {"workers": 1}, {"device": "cpu"}):
        assert (extract(**options).fingerprint, extract(**options).extracted) == (first.fingerprint, 0)
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "2")
    assert extract().fingerprint == first.fingerprint
