"""CL2N (Wang et al. 2019, SimpleShot): features minus the mean of the base classes, then of length 1."""

import numpy as np

from fewshot.config import FewshotConfig
from fewshot.pool import Pool
from store.batches import sequential
from store.concat import open_features
from store.errors import BadValue
from store.listing import stored_splits
from store.root import Root

BASES = ("base", "train")


def mean_of(root: Root, config: FewshotConfig, pool: Pool) -> tuple[dict[str, np.ndarray], list[str]]:
    """The mean feature (D,) float32 of each name of the pool, and what to say about it; nothing without cl2n.

    Raises: BadValue: no split to take the mean of. MissingFeatures: the features have not been extracted there.
    """
    if config.transform != "cl2n":
        return {}, []
    stored = stored_splits(root, config.dataset)
    split = config.centre or next((s for s in BASES if s in stored and s not in pool.splits), None)
    if split is None:
        raise BadValue(
            f"--transform cl2n subtracts the mean of other images, but {' and '.join(BASES)} have no features or are "
            f"evaluated themselves: give --centre SPLIT ({', '.join(stored)}) or --split"
        )
    means = {}
    for name in pool.features:
        x = open_features(root, config.dataset, split, name)
        total_D = np.zeros(x.dim)
        for _, x_BD in sequential(x):
            total_D += x_BD.sum(axis=0, dtype=np.float64)
        means[name] = (total_D / len(x)).astype(np.float32)
    kind = "whose images are evaluated too (transductive)" if split in pool.splits else "none of which is evaluated"
    return means, [f"features are centred on the mean of {split}, {kind}, then normalised"]
