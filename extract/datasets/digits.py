"""scikit-learn's digits: 1797 grey 8x8 pictures of 10 digits. Split 60/20/20 by the hash of the id."""

from pathlib import Path

import numpy as np

from extract.datasets.common import Images, array_images, hashed_split
from store.samples import Samples, Targets

GREYS = 16
"""The pixels are 0 to 16."""


def open_split(dataset: str, split: str, _path: Path) -> Images:
    from sklearn.datasets import load_digits

    data = load_digits()
    ids = [f"digits/{i:04d}" for i in range(len(data.target))]
    rows = [i for i, sample in enumerate(ids) if hashed_split(sample) == split]
    grey = np.rint(data.images * (255 / GREYS)).astype(np.uint8)
    pictures = [np.repeat(grey[i][:, :, None], 3, axis=2) for i in rows]
    label = Targets("label", tuple(map(str, data.target_names)), data.target[rows])
    sizes = np.array([picture.nbytes for picture in pictures])
    return array_images(Samples(dataset, split, [ids[i] for i in rows], sizes, {"label": label}), pictures)
