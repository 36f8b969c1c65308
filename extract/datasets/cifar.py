"""CIFAR-10 and CIFAR-100, the python version, as torchvision lays it out. Rows in the order of the files.

train_1perc and its kind are the first per cent of the order in which TjuJianyu/RRL src/datasets.py lists the training
images, which is numpy's RandomState(0).permutation(50000) (compared number by number).
"""

import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np

from extract.datasets.common import Images, array_images, need
from store.errors import BadValue
from store.samples import Samples, Targets

HOW = (
    "Let torchvision fetch it: --download; or unpack {archive} of https://www.cs.toronto.edu/~kriz/cifar.html there, "
    "or say where it is: --data-root DIR"
)
LAYOUT = {
    "cifar10": ("cifar-10-batches-py", [f"data_batch_{i}" for i in range(1, 6)], ["test_batch"], "batches.meta"),
    "cifar100": ("cifar-100-python", ["train"], ["test"], "meta"),
}
COLUMNS = {
    "cifar10": {"label": ("labels", "label_names")},
    "cifar100": {"label": ("fine_labels", "fine_label_names"), "coarse": ("coarse_labels", "coarse_label_names")},
}
"""Column -> its key in the batches and in the meta file."""


def open_split(dataset: str, split: str, path: Path) -> Images:
    name, train, test, meta_file = LAYOUT[dataset]
    folder = need(dataset, path / name, HOW.format(archive=f"{name.replace('-batches-py', '-python')}.tar.gz"))
    part, _, percent = split.partition("_")
    batches = [_unpickle(folder / file) for file in (train if part == "train" else test)]
    meta = _unpickle(folder / meta_file)
    try:
        pictures = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        columns = {
            column: (np.concatenate([batch[key] for batch in batches]), tuple(meta[names]))
            for column, (key, names) in COLUMNS[dataset].items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise BadValue(f"{folder} does not hold {dataset}: {type(error).__name__} {error}") from error
    rows = np.arange(len(pictures))
    if percent:
        order = np.random.RandomState(0).permutation(len(rows))
        rows = order[: len(rows) * int(percent.removesuffix("perc")) // 100]
    targets = {name: Targets(name, classes, index[rows]) for name, (index, classes) in columns.items()}
    ids = [f"{part}/{row:05d}" for row in rows]
    return array_images(Samples(dataset, split, ids, np.full(len(rows), 3 * 32 * 32), targets), list(pictures[rows]))


class _PlainData(pickle.Unpickler):
    """Lists, texts and arrays only: nothing that a pickle names is imported or run."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        from numpy._core.multiarray import _reconstruct

        known = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
            ("_codecs", "encode"): lambda text, _coding: text.encode("latin1"),
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data needs")
        return known[module, name]


def _unpickle(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            content = _PlainData(opened).load()
    except OSError as error:
        raise BadValue(f"{file}: {error.strerror}") from error
    except Exception as error:  # a damaged pickle may raise anything
        raise BadValue(f"{file} cannot be read, fetch it again: {error}") from error
    if not isinstance(content, dict):
        raise BadValue(f"{file} holds a {type(content).__name__}, not a batch of CIFAR")
    return content
