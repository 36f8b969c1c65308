"""Fashion-MNIST: 28x28 grey pictures of 10 kinds of clothes, in IDX files, packed with gzip or not."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from extract.datasets.common import Images
from store.errors import BadValue
from store.samples import Samples, Targets

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
FILES = {"train": "train", "test": "t10k"}
MAX_BYTES = 1 << 30
"""A file that says it holds more is not Fashion-MNIST."""


def open_split(dataset: str, split: str, path: Path) -> Images:
    images = _find(dataset, f"{FILES[split]}-images-idx3-ubyte", path)
    labels = _find(dataset, f"{FILES[split]}-labels-idx1-ubyte", path)
    pictures, label = read_idx(images, 3), read_idx(labels, 1)
    if len(pictures) != len(label):
        raise BadValue(f"{images} has {len(pictures)} images, {labels} {len(label)} labels")
    ids = [f"{split}/{row:05d}" for row in range(len(label))]
    sizes = np.full(len(label), pictures[0].size if len(label) else 0)
    samples = Samples(dataset, split, ids, sizes, {"label": Targets("label", CLASSES, label)})
    return Images(samples, lambda row: np.repeat(pictures[row][:, :, None], 3, axis=2))


def read_idx(file: Path, dims: int) -> np.ndarray:
    """An IDX file of unsigned bytes with `dims` dimensions; format: yann.lecun.com/exdb/mnist. Raises `BadValue`."""
    head = 4 + 4 * dims
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
            header = opened.read(head)
            shape = tuple(int(size) for size in np.frombuffer(header[4:], ">u4"))
            if len(header) != head or header[:4] != bytes([0, 0, 8, dims]):
                raise BadValue(f"{file} is not an IDX file of bytes with {dims} dimension(s)")
            size = int(np.prod(shape, dtype=object))
            data = opened.read(min(size, MAX_BYTES) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadValue(f"{file} cannot be read: {error}") from error
    if len(data) != size:
        more = "more" if len(data) > size else "fewer"
        raise BadValue(f"{file} holds {more} bytes than the {size} that its header says; fetch it again")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _find(dataset: str, name: str, path: Path) -> Path:
    places = [path, path / "FashionMNIST" / "raw", DEBIAN]
    for place in places:
        for file in (place / f"{name}.gz", place / name):
            if file.is_file():
                return file
    raise BadValue(
        f"dataset {dataset}: no {name} or {name}.gz in {', '.join(map(str, places))}. On Debian: apt-get install "
        "dataset-fashion-mnist; elsewhere let torchvision fetch it: --download"
    )
