import numpy as np
import pytest
import torch

from store.risks import dro_weights, unbiased_variance, vrex, vrex_weights

RISKS = np.array([[0.3, 0.9, 0.5], [1.0, 0.1, 0.2]])


def test_penalty_0_is_erm() -> None:
    assert np.allclose(vrex(RISKS, 0.0), RISKS.mean(-1))
    assert np.allclose(vrex_weights(RISKS, 0.0), 1 / 3)


def test_two_groups_have_half_the_squared_difference_as_variance() -> None:
    two = RISKS[:, :2]
    difference = two[:, 0] - two[:, 1]
    assert np.allclose(unbiased_variance(two), difference**2 / 2)
    assert np.allclose(vrex(two, 1.0) - two.mean(-1), two.var(-1))  # over two groups: the population variance


def test_the_variance_is_the_unbiased_one_over_the_number_of_groups() -> None:
    assert np.allclose(vrex(RISKS, 0.7), RISKS.mean(-1) + 0.7 * RISKS.var(-1, ddof=1) / 3)


@pytest.mark.parametrize(("penalty", "divisor"), [(0.5, 1), (1.0, 1), (5.0, 5), (1000.0, 1000)])
def test_a_penalty_above_one_divides_the_objective(penalty, divisor) -> None:
    plain = RISKS.mean(-1) + penalty * RISKS.var(-1, ddof=1) / 3
    assert np.allclose(vrex(RISKS, penalty), plain / divisor)


def test_weights_are_the_derivative_of_each_member() -> None:
    risks = torch.tensor(RISKS, requires_grad=True)
    penalty = torch.tensor([0.5, 50.0], dtype=torch.float64)
    vrex(risks, penalty).sum().backward()
    assert torch.allclose(vrex_weights(risks.detach(), penalty), risks.grad)
    assert np.allclose(vrex_weights(RISKS, penalty.numpy()), risks.grad.numpy())
    assert torch.allclose(vrex_weights(risks.detach()[1], 50.0), risks.grad[1])


def test_groupdro_moves_towards_the_group_of_the_highest_risk() -> None:
    weights = np.full(3, 1 / 3)
    for _ in range(2):
        weights = dro_weights(weights, RISKS[0], step=0.5)
    grown = np.exp(2 * 0.5 * RISKS[0])
    assert np.allclose(weights, grown / grown.sum())
    assert np.allclose(dro_weights(torch.tensor(weights), torch.tensor(RISKS[0]), 0.0), weights)
    absent = np.array([0.0, 0.9, 0.5])  # a group that is not in the batch
    assert dro_weights(weights, absent)[0] < weights[0]
