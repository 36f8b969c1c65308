"""What training minimises: modules, (outputs of the heads, batch) -> loss, whose buffers are part of a checkpoint.

Labels, groups and the step are in the batch: extract/training/batches.py. By name: OBJECTIVES in
extract/training/config.py.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extract.training.batches import Batch
from extract.training.config import TrainConfig


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


class Distillation(nn.Module):
    """One head of the student for each teacher; the mean over teachers, so that a recipe's lr serves any number.

    kl: T² KL(softmax(teacher / T) ‖ softmax(head / T)). Source: Hinton, Vinyals and Dean 2015, section 2, with a head
    for each teacher as in the synthesis of RFC (Zhang, Lopez-Paz and Bottou 2022). hard: cross-entropy with the
    teacher's class, as that synthesis has it. Upstream published neither loss nor temperature.
    """

    def __init__(self, teachers: Callable[[Batch], list[Tensor]], loss: str, temperature: float) -> None:
        super().__init__()
        self.teachers, self.loss, self.temperature = teachers, loss, temperature

    def forward(self, logits: list[Tensor], batch: Batch) -> Tensor:
        T, losses = self.temperature, []
        for mine, theirs in zip(logits, self.teachers(batch), strict=True):
            if self.loss == "hard":
                losses.append(F.cross_entropy(mine, theirs.argmax(1)))
            else:
                soft = F.log_softmax(theirs / T, dim=1)
                own = F.log_softmax(mine / T, dim=1)
                losses.append(T**2 * F.kl_div(own, soft, reduction="batchmean", log_target=True))
        return torch.stack(losses).mean()


class Regression(nn.Module):
    """Mean squared error of linear heads to the teachers' standardised features; the mean over teachers."""

    def __init__(self, teachers: Callable[[Batch], list[Tensor]], means: list[Tensor], stds: list[Tensor]) -> None:
        super().__init__()
        self.teachers = teachers
        self.means, self.stds = nn.ParameterList(means), nn.ParameterList(stds)
        self.requires_grad_(requires_grad=False)

    def forward(self, outputs: list[Tensor], batch: Batch) -> Tensor:
        pairs = zip(outputs, self.teachers(batch), self.means, self.stds, strict=True)
        return torch.stack([F.mse_loss(mine, (theirs - mean) / std) for mine, theirs, mean, std in pairs]).mean()
