"""What training minimises: modules, (outputs of the heads, batch) -> loss, whose buffers are part of a checkpoint.

Labels, groups and the step are in the batch: extract/batches.py. By name: OBJECTIVES in extract/training_config.py.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extract.batches import Batch
from extract.training_config import TrainConfig


def per_sample(logits: list[Tensor], labels: Tensor) -> Tensor:
    """(B,) cross-entropy, summed over heads; head h is for column h of the labels (B, L)."""
    losses = [F.cross_entropy(one.float(), labels[:, h], reduction="none") for h, one in enumerate(logits)]
    return losses[0] if len(losses) == 1 else torch.stack(losses).sum(0)


class CrossEntropy(nn.Module):
    """The mean over the batch: empirical risk minimisation."""

    def forward(self, logits: list[Tensor], batch: Batch) -> Tensor:
        return per_sample(logits, batch.labels).mean()


def cross_entropy(_config: TrainConfig, _num_groups: int) -> nn.Module:
    return CrossEntropy()
