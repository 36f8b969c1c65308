"""Images per second from JPEG files to normalised batches, against torchvision's PIL transforms in a DataLoader.

500x375 JPEGs, Resize(256), CenterCrop(224), float32 batches of 32; the same number of workers for both. A second table
has the other things that one decode gives: several backbones, and eight views.

    python tests/benchmarks/bench_images.py [WORKERS]
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from extract.datasets import open_dataset
from extract.forward.allocator import keep_memory
from extract.images.decoding import decoded
from extract.images.recipes import RECIPES, Recipe
from extract.images.transforms import normalise

IMAGES, BATCH, REPEATS = 512, 32, 5


def write_photos(folder: Path) -> None:
    """Smooth structure and some noise: about 70 KB each, as a photo of that size has."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:375, 0:500]
    for i in range(IMAGES):
        waves = np.stack(
            [np.sin(x / rng.uniform(5, 40) + c) + np.cos(y / rng.uniform(5, 40)) for c in range(3)], axis=2
        )
        image = (127 + 50 * waves + rng.normal(0, 9, (375, 500, 3))).clip(0, 255).astype(np.uint8)
        file = folder / f"train/{i % 2}/{i:04d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file, quality=90)


def ours(folder: Path, recipes: list[Recipe], workers: int) -> Iterator[int]:
    """Number of images in each normalised batch, all recipes of it."""
    images = open_dataset(f"folder:{folder}", "train")
    found = decoded(images, ((row, recipes) for row in range(IMAGES)), workers=workers, ahead=2 * BATCH)
    while batch := list(islice(found, BATCH)):
        for recipe in recipes:
            x_BHWC = torch.stack([sample.pixels[recipe].permute(1, 2, 0) for sample in batch])
            normalise(x_BHWC.permute(0, 3, 1, 2), recipe)
        yield len(batch)


def torchvision(folder: Path, recipe: Recipe, workers: int) -> Iterator[int]:
    chain = [transforms.Resize(256), transforms.CenterCrop(224)]
    if recipe.view:
        chain = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()]
    chain += [transforms.ToTensor(), transforms.Normalize(recipe.mean, recipe.std)]
    data = ImageFolder(str(folder / "train"), transforms.Compose(chain))
    for x_BCHW, _ in DataLoader(data, BATCH, num_workers=workers):
        yield len(x_BCHW)


def rate(batches: Iterator[int]) -> float:
    """Images per second after the first batch: workers are up by then."""
    next(batches)
    start = time.perf_counter()
    return sum(batches) / (time.perf_counter() - start)


def main() -> None:
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else len(os.sched_getaffinity(0))
    one = RECIPES["imagenet_224"]
    three = [one, RECIPES["vit_224"], RECIPES["pixels_16"]]
    keep_memory()
    views = [one.with_view(view) for view in range(8)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder)
        size = statistics.mean(file.stat().st_size for file in folder.rglob("*.jpg"))
        rates: dict[str, list[float]] = {}
        for _ in range(REPEATS):
            for what, batches in (
                ("evaluation crop", ours(folder, [one], workers)),
                ("evaluation crop, PIL", torchvision(folder, one, workers)),
                ("random crop", ours(folder, [views[1]], workers)),
                ("random crop, PIL", torchvision(folder, views[1], workers)),
                ("three backbones", ours(folder, three, workers)),
                ("eight views", ours(folder, views, workers)),
            ):
                rates.setdefault(what, []).append(rate(batches))
    median = {what: statistics.median(found) for what, found in rates.items()}
    print(f"{workers} workers, {IMAGES} JPEGs of 500x375, {size / 1024:.0f} KB each, median of {REPEATS}\n")
    print("| JPEG to normalised batch | ours, images/s | PIL transforms in a DataLoader, a pass for each | ratio |")
    print("|---|---|---|---|")
    for what, peer, passes in (
        ("evaluation crop", "evaluation crop, PIL", 1),
        ("random crop", "random crop, PIL", 1),
        ("three backbones", "evaluation crop, PIL", 3),
        ("eight views", "random crop, PIL", 8),
    ):
        theirs = median[peer] / passes
        print(f"| {what} | {median[what]:.0f} | {theirs:.0f} | {median[what] / theirs:.2f} |")


if __name__ == "__main__":
    main()
