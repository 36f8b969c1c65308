"""Every member of the wide product against a plain torch loop of its own, with autograd and torch.optim.SGD."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from probe.solvers.grouped import GroupSettings, train
from probe.solvers.members import Heads, Member, members_of
from store.balanced import two_groups
from store.errors import BadValue
from store.risks import dro_weights, vrex

SEEDS, PENALTY, ANNEAL = (0, 3), (0.0, 0.5, 50.0), (0, 4)
GRID = members_of(("erm", "vrex", "groupdro"), (0.05,), (0.01, 0.1), PENALTY, ANNEAL, SEEDS)


def problem(made, data_of, classes, groups=3, n=60, d=7):
    x_ND, y_N = made(n, d, classes)
    group_N = np.random.default_rng(1).integers(0, groups, n)
    group_N[:groups] = np.arange(groups)
    x_ND[:, 0] += group_N * y_N  # a column that means something else in each group
    return data_of(x_ND, y_N, classes), group_N


def loop(data, group_N, num_groups, member, batches) -> tuple[np.ndarray, np.ndarray]:
    """The member alone: logits of two rows and more, its own optimizer, the objective through autograd."""
    heads = Heads(data, [member])
    weight, bias = (t.requires_grad_() for t in heads.head(0))
    fresh = lambda: torch.optim.SGD([weight, bias], member.lr, momentum=0.9, weight_decay=member.weight_decay)  # noqa: E731
    optimizer, q = fresh(), torch.full((num_groups,), 1 / num_groups)
    x, y = data.read(np.arange(len(data))), data.y_N
    for step, (positions, groups) in enumerate(batches):
        if step == member.anneal:
            optimizer = fresh()
        each = [rows[group_N[rows] == g] for g in groups for rows in [positions]]
        risks = torch.stack([cross_entropy(x[rows] @ weight.T + bias, y[rows]) for rows in each])
        if member.objective == "groupdro":
            q = dro_weights(q, torch.zeros(num_groups).index_copy(0, torch.tensor(groups), risks.detach()))
            loss = (q[torch.tensor(groups)] * risks).sum()
        else:
            loss = vrex(risks, member.penalty if step >= member.anneal else 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weight.detach().numpy(), bias.detach().numpy()


def no_check(*_args) -> None:
    pass


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("batch", [12, None])
def test_each_member_is_its_own_loop(made, data_of, classes, batch) -> None:
    data, group_N = problem(made, data_of, classes)
    epochs = 2 if batch else 8
    heads = train(data, group_N, 3, GRID, GroupSettings(epochs=epochs, batch=batch), no_check)
    if batch:
        draws = [two_groups(group_N, batch, 0, epoch) for epoch in range(1, epochs + 1)]
        batches = [pair for draw in draws for pair in zip(*draw, strict=True)]
    else:
        batches = [(np.arange(60), np.arange(3))] * epochs
    assert len(GRID) == 28
    for k, member in enumerate(GRID):
        weight, bias = heads.head(k)
        want_weight, want_bias = loop(data, group_N, 3, member, batches)
        gap = weight.numpy() - want_weight
        if classes == 2:  # the sum of the two rows only decays, and moves no prediction
            gap = gap[1] - gap[0]
            assert np.allclose(bias[1] - bias[0], want_bias[1] - want_bias[0], atol=1e-5)
        else:
            assert np.allclose(bias, want_bias, atol=1e-5)
        assert np.abs(gap).max() < 1e-5, member


def test_penalty_0_is_erm_and_the_penalty_is_felt(made, data_of) -> None:
    data, group_N = problem(made, data_of, 2)
    members = members_of(("erm", "vrex"), (0.05,), (0.01,), (0.0, 50.0), (0,), (0,))
    heads = train(data, group_N, 3, members, GroupSettings(epochs=3, batch=10), no_check)
    assert [m.penalty for m in members] == [0.0, 0.0, 50.0]
    assert torch.equal(heads.head(0)[0], heads.head(1)[0])
    assert not torch.allclose(heads.head(0)[0], heads.head(2)[0], atol=1e-3)


def test_a_member_is_the_same_alone(made, data_of) -> None:
    data, group_N = problem(made, data_of, 2)
    settings = GroupSettings(epochs=3, batch=10)
    together = train(data, group_N, 3, GRID, settings, no_check)
    alone = train(data, group_N, 3, GRID[5:6], settings, no_check)
    assert torch.allclose(together.head(5)[0], alone.head(0)[0], atol=1e-6)


def test_a_member_that_diverges_leaves_the_others_alone(made, data_of) -> None:
    data, group_N = problem(made, data_of, 3)
    wild = Member("vrex", 1e30, 0.5, 10.0, 0, 0)
    heads = train(data, group_N, 3, [wild, GRID[0]], GroupSettings(epochs=3, batch=10), no_check)
    alone = train(data, group_N, 3, [GRID[0]], GroupSettings(epochs=3, batch=10), no_check)
    assert not torch.isfinite(heads.head(0)[0]).all()
    assert torch.allclose(heads.head(1)[0], alone.head(0)[0], atol=1e-6)


def test_the_full_batch_is_deterministic_whatever_the_seed_of_batches(made, data_of) -> None:
    data, group_N = problem(made, data_of, 2)
    once = train(data, group_N, 3, GRID, GroupSettings(epochs=5, batch=None, seed=1), no_check)
    again = train(data, group_N, 3, GRID, GroupSettings(epochs=5, batch=None, seed=2), no_check)
    assert torch.equal(once.weight, again.weight)


def test_checks_come_after_equal_parts_of_the_epochs(made, data_of) -> None:
    data, group_N = problem(made, data_of, 2)
    for epochs, want in ((3, [1, 2, 3]), (20, [5, 10, 15, 20])):
        seen: list[int] = []
        settings = GroupSettings(epochs=epochs, batch=None, checks=4)
        train(data, group_N, 3, GRID[:1], settings, lambda epoch, _, seen=seen: seen.append(epoch))
        assert seen == want


def test_an_odd_batch_is_refused(made, data_of) -> None:
    data, group_N = problem(made, data_of, 2)
    with pytest.raises(BadValue, match="--batch 7: half of it is of each of 2 groups, so it must be even"):
        train(data, group_N, 3, GRID[:1], GroupSettings(epochs=1, batch=7), no_check)
