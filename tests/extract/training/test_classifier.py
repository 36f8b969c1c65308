"""Heads: the cosine head against its formula, averages against the mean of the logits."""

import torch
from torch import nn

from extract.training.classifier import CosineHead, make_head, one_head
from extract.training.optimising import make_optimizer
from extract.training.recipes import TRAINING_RECIPES


def test_the_cosine_head_is_that_of_closer_look() -> None:
    torch.manual_seed(0)
    head, x_BD = CosineHead(6, 3, 30.0), torch.randn(5, 6)
    head.g_C1.data.mul_(torch.tensor([[1.0], [2.0], [3.0]]))
    cosine = nn.functional.cosine_similarity(x_BD[:, None], head.v_CD[None], dim=2)
    assert torch.allclose(head(x_BD), 30 * head.g_C1.flatten() * cosine, atol=1e-4)
    assert (CosineHead(6, 200).scale, CosineHead(6, 201).scale) == (2.0, 10.0)


def test_one_head_has_the_mean_of_the_logits() -> None:
    torch.manual_seed(0)
    x_BD = torch.randn(5, 6)
    for kind in ("linear", "cosine"):
        heads = nn.ModuleList([make_head(kind, 6, 3) for _ in range(4)])
        found = one_head(heads, dict(heads.named_parameters()))
        assert found is not None
        unit = x_BD if kind == "linear" else nn.functional.normalize(x_BD, dim=1)
        want = torch.stack([head(x_BD) for head in heads]).mean(0)
        assert torch.allclose(nn.functional.linear(unit, found["weight"], found.get("bias")), want, atol=1e-4)
    mixed = nn.ModuleList([make_head("linear", 6, 3), make_head("linear", 6, 4)])
    assert one_head(mixed, dict(mixed.named_parameters())) is None


def test_norms_are_known_by_what_they_are() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 2))
    groups = make_optimizer(net, TRAINING_RECIPES["finetune_cifar"]).param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(4, 5e-4), (4, 0.0)]
    groups = make_optimizer(net, TRAINING_RECIPES["imagenet"]).param_groups
    assert {group["weight_decay"] for group in groups} == {1e-4}
