"""Objectives over the risks of groups, for training networks: vREx and groupDRO. The arithmetic is store/risks.py."""

import torch
from torch import Tensor, nn

from extract import ranks
from extract.training.batches import Batch
from extract.training.config import TrainConfig
from extract.training.losses import per_sample
from store.errors import BadValue
from store.risks import dro_weights, vrex, vrex_weights


class VRex(nn.Module):
    """Mean + penalty * variance of the risks of a batch's groups, both of upstream's conventions (store/risks.py).

    Before `anneal` steps the penalty is 0; there the optimizer forgets its momentum, since the objective is another.
    """

    def __init__(self, penalty: float, anneal: int, num_groups: int) -> None:
        super().__init__()
        self.penalty, self.anneal, self.num_groups = penalty, anneal, num_groups
        self.forget_at = anneal or None
        """The step at which training/_step clears the optimizer's state."""

    def forward(self, logits: list[Tensor], batch: Batch) -> Tensor:
        local_G, risks_G, present_G = group_risks(logits, batch, self.num_groups)
        penalty = self.penalty if batch.step >= self.anneal else 0.0
        seen = risks_G[present_G]
        return _with_value((vrex_weights(seen, penalty) * local_G[present_G]).sum(), vrex(seen, penalty))


class GroupDro(nn.Module):
    """The risks of all groups, weighted by what grows with each group's risk; a group that is not in the batch has
    risk 0. Source: Sagawa et al. (2020), algorithm 1, step 0.01 as in WILDS.
    """

    q_G: Tensor

    def __init__(self, num_groups: int) -> None:
        super().__init__()
        self.num_groups = num_groups
        self.register_buffer("q_G", torch.full((num_groups,), 1 / num_groups))

    def forward(self, logits: list[Tensor], batch: Batch) -> Tensor:
        local_G, risks_G, _ = group_risks(logits, batch, self.num_groups)
        self.q_G.copy_(dro_weights(self.q_G, risks_G))
        return _with_value((self.q_G * local_G).sum(), (self.q_G * risks_G).sum())


def group_risks(logits: list[Tensor], batch: Batch, num_groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each group's mean loss over the batch of all ranks, three (G,) tensors.

    Returns: this rank's part of it, with its gradient, times the number of ranks, because their gradients are averaged;
    the whole of it, without; whether the group is in the batch.
    """
    assert batch.groups is not None
    loss_B, groups = per_sample(logits, batch.labels), batch.groups
    zeros_G = torch.zeros(num_groups, device=loss_B.device)
    counts = ranks.add(zeros_G.index_add(0, groups, torch.ones_like(loss_B)))
    local = zeros_G.index_add(0, groups, loss_B) / counts.clamp_min(1)
    return local * ranks.size(), ranks.add(local.detach().clone()), counts > 0


def _with_value(slope: Tensor, value: Tensor) -> Tensor:
    """The gradient of one and the value of the other: what is logged is the objective."""
    return slope + (value - slope).detach()


def make_vrex(config: TrainConfig, num_groups: int) -> nn.Module:
    _check(config, num_groups)
    return VRex(config.penalty, config.anneal, num_groups)


def make_groupdro(config: TrainConfig, num_groups: int) -> nn.Module:
    _check(config, num_groups)
    return GroupDro(num_groups)


def _check(config: TrainConfig, num_groups: int) -> None:
    if num_groups < 2:
        raise BadValue(
            f"--objective {config.objective}: every image that is trained on is of the same {config.group}; it needs "
            "two groups. Name another column with --group"
        )
