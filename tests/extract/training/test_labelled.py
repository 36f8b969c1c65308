from dataclasses import replace

import numpy as np
import pytest
import torch

from extract.datasets.common import array_images
from extract.training.config import TrainConfig
from extract.training.labelled import hold_out, open_labelled
from store.errors import BadValue
from store.samples import Samples, Targets


def test_a_fifth_is_held_out_of_a_dataset_that_hashes_its_splits() -> None:
    data = open_labelled(TrainConfig(name="toy", recipe="small", dataset="digits", val="none"))
    split = hold_out(data)
    assert split.val is not None
    held = np.flatnonzero(split.val[1].numpy() >= 0)
    assert 0.15 < len(held) / len(data.rows) < 0.25
    assert sorted([*held, *split.rows]) == data.rows.tolist()
    assert torch.equal(split.val[1][held], data.labels[held, 0])


def test_images_of_one_unit_stay_together() -> None:
    ids = [f"{i}.png" for i in range(300)]
    unit_N = np.arange(300, dtype=np.int32) // 6
    data = open_labelled(TrainConfig(name="toy", recipe="small", dataset="digits", val="none"))
    units = Targets("unit", tuple(f"plant {i}" for i in range(50)), unit_N)
    samples = Samples("toy", "train", ids, np.ones(300), targets={"unit": units})
    images = array_images(samples, [np.zeros((8, 8, 3), np.uint8)] * 300)
    toy = replace(data, images=images, rows=np.arange(300), labels=torch.zeros((300, 1), dtype=torch.int64))
    split = hold_out(toy)
    held = set(range(300)) - set(split.rows.tolist())
    assert 0 < len(held) < 150
    assert not {unit_N[row] for row in held} & {unit_N[row] for row in split.rows}
    with pytest.raises(BadValue, match="1 images are too few"):
        hold_out(replace(toy, rows=np.arange(1)))
