"""Schedules and snapshots against their formulas, and the recipes against what upstream's scripts say."""

import math
from dataclasses import replace

import pytest

from extract.images.recipes import RECIPES
from extract.training.recipes import TRAINING_RECIPES, learning_rate, snapshot_epochs
from store.errors import BadValue


def rates(name: str, cycles: int = 0, **changes: object) -> list[float]:
    recipe = replace(TRAINING_RECIPES[name], **changes)  # type: ignore[arg-type]
    return [learning_rate(recipe, epoch, cycles) for epoch in range(recipe.epochs)]


def test_pretraining_divides_by_ten_after_30_and_60_of_90_epochs() -> None:
    found = rates("imagenet")
    assert [found[epoch] for epoch in (0, 29, 30, 59, 60, 89)] == pytest.approx([0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3])


def test_the_cosine_is_that_of_torch() -> None:
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100, eta_min=1e-7)
    want = []
    for _ in range(100):
        want.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates("finetune_cifar") == pytest.approx(want)


def test_cycles_come_down_as_often_as_there_are_snapshots() -> None:
    found = rates("imagenet", 5, schedule="cyclic", epochs=10)
    assert found == pytest.approx([0.1, 0.1 * (1 + math.cos(math.pi / 2)) / 2] * 5)


def test_snapshots_are_at_the_ends_of_cycles_or_over_the_second_half() -> None:
    small = TRAINING_RECIPES["small"]
    assert snapshot_epochs(small, 0) == ()
    assert snapshot_epochs(replace(small, schedule="constant"), 5) == (12, 14, 16, 18, 20)
    assert snapshot_epochs(replace(small, schedule="cyclic"), 5) == (4, 8, 12, 16, 20)
    with pytest.raises(BadValue, match="too many; give more --epochs"):
        snapshot_epochs(replace(small, epochs=3), 5)


def test_every_recipe_names_its_source_and_images_that_exist() -> None:
    for name, recipe in TRAINING_RECIPES.items():
        assert recipe.source, name
        assert recipe.images in ("", *RECIPES)
