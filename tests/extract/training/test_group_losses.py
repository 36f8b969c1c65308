import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy

from extract import ranks
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


def steps_on(mine: slice) -> list[torch.Tensor]:
    """Gradient of a linear head, averaged as DistributedDataParallel does, and the logged value, at each step."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for objective in (VRex(20.0, 1, 4), GroupDro(4)):
        weight = torch.randn(5, 2, generator=generator, requires_grad=True)
        for step in range(3):
            x_BD = torch.randn(12, 5, generator=generator)
            whole = batch_of([0, 1, 0, 3, 3, 0, 3, 0, 0, 3, 0, 3], step)  # 1 in one rank alone, 2 in none
            batch = replace(whole, rows=whole.rows[mine], labels=whole.labels[mine], groups=whole.groups[mine])
            loss = objective([x_BD[mine] @ weight], batch)
            (slope,) = torch.autograd.grad(loss, weight)
            found += [ranks.add(slope) / ranks.size(), loss.detach()]
            weight = (weight - 0.5 * found[-2]).detach().requires_grad_(True)
    return found


def test_two_ranks_have_the_gradients_of_one(tmp_path: Path) -> None:
    command = [sys.executable, __file__, str(tmp_path / "meet")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}
    for process in [subprocess.Popen([*command, str(rank)], env=env) for rank in range(2)]:
        assert process.wait(60) == 0
    whole = steps_on(slice(None))
    for rank in range(2):
        for two, one in zip(torch.load(f"{command[2]}.{rank}"), whole, strict=True):
            assert torch.allclose(two, one, rtol=1e-5, atol=1e-6)


if __name__ == "__main__":  # a rank of the test above
    meet, rank = sys.argv[1], int(sys.argv[2])
    dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=2)
    torch.save(steps_on(slice(rank, None, 2)), f"{meet}.{rank}")
    dist.destroy_process_group()
