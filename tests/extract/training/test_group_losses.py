import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from extract.training.batches import Batch
from extract.training.group_losses import GroupDro, VRex
from extract.training.losses import CrossEntropy


def batch_of(groups: list[int], step: int = 0) -> Batch:
    count = len(groups)
    return Batch(
        rows=np.arange(count), pixels=[], labels=torch.arange(count)[:, None] % 2, groups=torch.tensor(groups), view=0,
        epoch=0, step=step,
    )  # fmt: skip


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(8, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)


def risks_of(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    groups = batch.groups.unique()
    return torch.stack([cross_entropy(logits[batch.groups == g], batch.labels[batch.groups == g, 0]) for g in groups])


def gradient(loss: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, logits, retain_graph=True)[0]


@pytest.mark.parametrize("penalty", [0.5, 20.0])
def test_vrex_is_upstreams_objective(logits: torch.Tensor, penalty: float) -> None:
    batch = batch_of([2, 2, 2, 2, 4, 4, 4, 4])  # two of five groups
    risks = risks_of(logits, batch)
    want = (risks.mean() + penalty * risks.var() / 2) / max(1.0, penalty)
    found = VRex(penalty, 0, 5)([logits], batch)
    assert found.item() == pytest.approx(want.item(), rel=1e-5)
    assert torch.allclose(gradient(found, logits), gradient(want, logits), atol=1e-6)


def test_penalty_0_and_the_steps_before_the_penalty_are_erm(logits: torch.Tensor) -> None:
    groups = [0, 0, 0, 0, 1, 1, 1, 1]
    erm = CrossEntropy()([logits], batch_of(groups))
    for objective, step in ((VRex(0.0, 0, 2), 0), (VRex(100.0, 7, 2), 6)):
        found = objective([logits], batch_of(groups, step))
        assert torch.allclose(gradient(found, logits), gradient(erm, logits), atol=1e-7)
    late = VRex(100.0, 7, 2)
    assert not torch.allclose(gradient(late([logits], batch_of(groups, 7)), logits), gradient(erm, logits), atol=1e-3)
    assert (late.forget_at, VRex(1.0, 0, 2).forget_at) == (7, None)


def test_groupdro_follows_algorithm_1(logits: torch.Tensor) -> None:
    objective, q = GroupDro(3), torch.full((3,), 1 / 3)
    for _ in range(3):
        batch = batch_of([0, 0, 0, 2, 2, 2, 2, 2])  # group 1 is not there
        found = objective([logits], batch)
        risks = torch.zeros(3).index_copy(0, torch.tensor([0, 2]), risks_of(logits, batch).detach())
        q = q * torch.exp(0.01 * risks)
        q = q / q.sum()
        want = (q[[0, 2]] * risks_of(logits, batch)).sum()
        assert torch.allclose(gradient(found, logits), gradient(want, logits), atol=1e-7)
    assert torch.allclose(objective.state_dict()["q_G"], q)  # part of a checkpoint
