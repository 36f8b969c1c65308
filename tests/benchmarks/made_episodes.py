"""Made chunks of episodes, for the tests of classifiers and the benchmarks."""

import numpy as np
import torch

from fewshot.chunk import Chunk, Features
from fewshot.config import Settings


def made_features(classes=20, images=40, dim=64, seed=0, apart=0.5):
    """Non-negative features, as after a ReLU: `images` rows of each class in turn."""
    rng = np.random.default_rng(seed)
    centres_CD = rng.normal(size=(classes, dim)) * apart
    x_ND = np.maximum(centres_CD.repeat(images, axis=0) + rng.normal(size=(classes * images, dim)), 0)
    return Features(
        "a", np.arange(len(x_ND)), torch.from_numpy(x_ND.astype(np.float32)), lambda row: f"train/{row}.png"
    )


def made_chunk(count, *, way=5, shot=5, query=15, dim=64, seed=0, features=None, **settings):
    """`count` episodes over 20 classes of 40 images."""
    features = features or made_features(dim=dim)
    rng = np.random.default_rng(seed + 1)
    classes_EW = rng.permuted(np.tile(np.arange(20), (count, 1)), axis=1)[:, :way]
    images_EWK = rng.permuted(np.tile(np.arange(40), (count, way, 1)), axis=2)[:, :, : shot + query]
    rows_EWK = torch.from_numpy(classes_EW[:, :, None] * 40 + images_EWK)
    support_En, query_Em = rows_EWK[:, :, :shot].flatten(1), rows_EWK[:, :, shot:].flatten(1)
    return Chunk(features, support_En, query_Em, way, np.arange(count), Settings(**settings))
