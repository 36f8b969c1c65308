"""The images of the small reproduction as `csv:` datasets: for each repeat other base and novel classes.

Fashion-MNIST: 5 base and 5 novel classes, drawn anew for each repeat. Emoji: 30 base subcategories, the others novel.
Pictures are written once, as PNG.
"""

import csv
import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from extract.datasets import default_data_root, is_present, open_dataset
from extract.images.decoding import decode
from store.errors import BadValue

BASE_IMAGES, NOVEL_IMAGES, TEST_IMAGES = 300, 100, 500
"""Of each Fashion-MNIST class."""
BASE_CLASSES, FEWEST = 30, 24
"""Emoji: subcategories to pretrain on; images that a subcategory must have to take part."""
SIDE = 40
"""Of the emoji's PNG files."""
Row = dict[str, str]


def check(kind: str) -> None:
    """Raise `BadValue` where the pictures of one half are not here: before hours, not after."""
    dataset, other = {"fashion": ("fashion_mnist", "emoji"), "emoji": ("emoji", "fashion")}[kind]
    if not is_present(dataset):
        raise BadValue(
            f"{dataset} is not in {default_data_root()}; fetch it: python -m extract --backbone pixels "
            f"--dataset {dataset} --download; or do the other half: --only {other}"
        )


def fashion(folder: Path, repeat: int) -> tuple[str, str]:
    """Write the pictures, and the lists of this repeat; returns the datasets of base and novel classes."""
    names = [folder / f"fashion-{part}-r{repeat}.csv" for part in ("base", "novel")]
    if not all(name.is_file() for name in names):
        splits = {split: open_dataset("fashion_mnist", split) for split in ("train", "test")}
        classes = random.Random(repeat).sample(range(10), 10)
        base, novel = list[Row](), list[Row]()
        for label in classes:
            train, test = (np.flatnonzero(splits[split].samples.label == label) for split in ("train", "test"))
            if label in classes[:5]:
                base += _pictures(folder, splits["train"], train[:BASE_IMAGES], "train")
            else:
                novel += _pictures(folder, splits["train"], train[:NOVEL_IMAGES], "train")
                novel += _pictures(folder, splits["test"], test[:TEST_IMAGES], "test")
        for name, rows in zip(names, (base, novel), strict=True):
            _write(name, rows)
    return f"csv:{names[0]}", f"csv:{names[1]}"


def _pictures(folder: Path, images, rows: np.ndarray, split: str) -> list[Row]:
    found = []
    for row in rows.tolist():
        path = folder / "fashion" / f"{images.samples.ids[row]}.png"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images.read(row)[:, :, 0]).save(path)
        label = images.samples.target().classes[images.samples.label[row]]
        found.append({"path": str(path.relative_to(folder)), "label": label, "split": split})
    return found


def emoji(folder: Path, repeat: int) -> tuple[str, str]:
    """As `fashion`; the column `emoji` says which pictures are of the same emoji."""
    names = [folder / f"emoji-{part}-r{repeat}.csv" for part in ("base", "novel")]
    if not all(name.is_file() for name in names):
        every = defaultdict(list)
        for row in _emoji(folder):
            every[row["label"]].append(row)
        large = sorted(label for label, rows in every.items() if len(rows) >= FEWEST)
        chosen = random.Random(repeat).sample(large, len(large))
        for name, part in zip(names, (chosen[:BASE_CLASSES], chosen[BASE_CLASSES:]), strict=True):
            _write(name, [row for label in part for row in every[label]])
    return f"csv:{names[0]}", f"csv:{names[1]}"


def _emoji(folder: Path) -> Iterable[Row]:
    for split in ("train", "val", "test"):
        images = open_dataset("emoji", split)
        category = images.samples.target("subcategory")
        same = images.samples.target("emoji")
        for row, sample in enumerate(images.samples.ids):
            path = folder / "emoji" / f"{sample.replace('/', '_')}.png"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                picture = Image.fromarray(decode(images.read(row)).permute(1, 2, 0).numpy())
                picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)
            label = category.classes[category.index[row]]
            name = same.classes[same.index[row]]
            yield {"path": str(path.relative_to(folder)), "label": label, "split": "train", "emoji": name}


def _write(file: Path, rows: list[Row]) -> None:
    partial = file.with_suffix(".partial")
    with partial.open("w", newline="") as opened:
        lines = csv.DictWriter(opened, rows[0])
        lines.writeheader()
        lines.writerows(rows)
    partial.replace(file)
