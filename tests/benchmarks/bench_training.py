"""Training against a hand-written minimal loop, and distilling from stored teachers against live ones.

    python tests/benchmarks/bench_training.py [--images 512] [--repeats 5] [--arch resnet18w0.5] [--size 64]

The minimal loop: torchvision's ImageFolder, DataLoader and transforms v2, torch.optim.SGD, no log, no checkpoint, no
check of the loss. Both see random crops of the same JPEG files, with as many workers, in batches of 64.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from extract.forward.allocator import keep_memory

keep_memory()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402

from extract.config import ExtractConfig  # noqa: E402
from extract.datasets import open_dataset  # noqa: E402
from extract.distill import Lesson, distill  # noqa: E402
from extract.extractor import run as extract  # noqa: E402
from extract.loading import build_network  # noqa: E402
from extract.pretrain import own_recipe, pretrain  # noqa: E402
from extract.training.batches import TrainingData, batches, shuffled  # noqa: E402
from extract.training.config import TrainConfig  # noqa: E402
from extract.training.jobs import image_recipe  # noqa: E402

CLASSES, BATCH, TEACHERS = 8, 64, 5


def photos(folder: Path, count: int) -> Path:
    """JPEGs of 160x120, each class of its own mean colour."""
    rng = np.random.default_rng(0)
    for i in range(count):
        name = folder / "train" / str(i % CLASSES) / f"{i:05d}.jpg"
        name.parent.mkdir(parents=True, exist_ok=True)
        small = rng.integers(0, 200, (6, 8, 3), dtype=np.uint8) + np.uint8(i % CLASSES * 6)
        Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC).save(name, quality=90)
    return folder


def network(arch: str, size: int) -> nn.Module:
    net = nn.Sequential(build_network(arch), nn.LazyLinear(CLASSES))
    net(torch.zeros(2, 3, size, size))
    return net.to(memory_format=torch.channels_last)


def minimal(folder: Path, arch: str, size: int, epochs: int) -> float:
    """Steps per second of the hand-written loop, without its first epoch."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    chain = v2.Compose(
        [v2.PILToTensor(), v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip(),
         v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(
        ImageFolder(str(folder / "train"), chain),
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=2,
        persistent_workers=True,
    )
    net = network(arch, size)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    net.train()
    start = 0.0
    for epoch in range(epochs):
        start = time.perf_counter() if epoch == 1 else start
        for x, y in loader:
            loss = nn.functional.cross_entropy(net(x.contiguous(memory_format=torch.channels_last)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return (epochs - 1) * len(loader) / (time.perf_counter() - start)


def over_our_batches(folder: Path, arch: str, size: int, epochs: int) -> float:
    """Steps per second of the hand-written loop on the very batches that ours gets, without its first epoch."""
    images = open_dataset(f"folder:{folder}", "train")
    recipe = image_recipe(config(folder, "peer", size, epochs), own_recipe(arch))
    labels = torch.from_numpy(images.samples.label.astype(np.int64))
    order = shuffled(np.arange(len(labels)), BATCH, 0)
    data = TrainingData(images=images, recipe=recipe, labels=labels[:, None], order=order)
    net = network(arch, size)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    mean, std = torch.tensor(recipe.mean).view(3, 1, 1), torch.tensor(recipe.std).view(3, 1, 1)
    start, steps = 0.0, 0
    for epoch in range(epochs):
        start = time.perf_counter() if epoch == 1 else start
        for batch in batches(data, epoch, 0, torch.device("cpu"), 2):
            x = batch.pixels[0].float().div(255).sub(mean).div(std)
            loss = nn.functional.cross_entropy(net(x), batch.labels[:, 0])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += epoch > 0
    return steps / (time.perf_counter() - start)


def config(folder: Path, name: str, size: int, epochs: int, **more: object) -> TrainConfig:
    return TrainConfig(
        dataset=f"folder:{folder}", name=name, recipe="imagenet", images="imagenet_224", image_size=size, workers=2,
        overrides={"epochs": epochs, "batch": BATCH}, val="none", device="cpu", precision="fp32",
        backbones=str(folder / "backbones"), store=str(folder / "features"), **more,
    )  # fmt: skip


def speed(folder: Path, name: str) -> float:
    """Steps per second of a run, without its first epoch, by its log."""
    lines = [json.loads(line) for line in (folder / "backbones" / name / "log.jsonl").read_text().splitlines()][1:]
    return len(lines) / sum(1 / line["steps_per_second"] for line in lines)


def ours(folder: Path, arch: str, size: int, epochs: int, name: str) -> float:
    pretrain(arch, config(folder, name, size, epochs))
    return speed(folder, name)


def in_turn(repeats: int, **candidates: Callable[[int], float]) -> dict[str, float]:
    """Median of each candidate's figure, the candidates taking turns."""
    figures: dict[str, list[float]] = {name: [] for name in candidates}
    for repeat in range(repeats):
        for name, measure in candidates.items():
            figures[name].append(measure(repeat))
    return {name: statistics.median(values) for name, values in figures.items()}


def line(what: str, figure: float, ratio: float | None, goal: str) -> None:
    print(f"| {what} | {figure:.2f} | {'' if ratio is None else f'{ratio:.2f}'} | {goal} |", flush=True)


def distillation(folder: Path, arch: str, size: int, repeats: int) -> None:
    names = tuple(f"teacher-{i}" for i in range(TEACHERS))
    for i, name in enumerate(names):
        pretrain(arch, config(folder, name, size, 1, seed=i))
    folders = {"store": str(folder / "features"), "backbones": str(folder / "backbones")}
    extract(ExtractConfig(backbone=names, dataset=(f"folder:{folder}",), split=("train",), views=4, **folders))

    def taught(source: str, repeat: int) -> float:
        lesson = Lesson(student=arch, teachers=names, source=source)
        distill(lesson, config(folder, f"{source}-{repeat}", size, 3))
        return speed(folder, f"{source}-{repeat}")

    found = in_turn(repeats, live=lambda repeat: taught("live", repeat), store=lambda repeat: taught("store", repeat))
    line(f"distilling from {TEACHERS} live teachers of the student's size", found["live"], 1.0, "peer")
    goal = f">= {1 + TEACHERS / 2} = 1 + n/2"
    line("distilling from their stored views", found["store"], found["store"] / found["live"], goal)


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--images", type=int, default=768)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--arch", default="resnet18w0.5")
    p.add_argument("--size", type=int, default=64)
    options = p.parse_args()
    arch, size, epochs = options.arch, options.size, 4
    with tempfile.TemporaryDirectory() as made:
        folder = photos(Path(made), options.images)
        print(f"{options.images} JPEGs, {arch} at {size} px, batches of {BATCH}, {torch.get_num_threads()} threads\n")
        print("| what | steps/s | ratio | goal |\n|---|---|---|---|")
        found = in_turn(
            options.repeats,
            same=lambda _: over_our_batches(folder, arch, size, epochs),
            loader=lambda _: minimal(folder, arch, size, epochs),
            ours=lambda repeat: ours(folder, arch, size, epochs, f"ours-{repeat}"),
        )
        line("minimal loop over the same batches", found["same"], 1.0, "peer")
        line("minimal loop with torchvision's ImageFolder and DataLoader", found["loader"], None, "peer")
        line("our loop, against the same batches", found["ours"], found["ours"] / found["same"], ">= 0.9")
        line("our loop, against DataLoader", found["ours"], found["ours"] / found["loader"], "")
        distillation(folder, arch, size, options.repeats)


if __name__ == "__main__":
    main()
