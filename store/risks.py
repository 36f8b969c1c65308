"""Objectives over the mean losses of groups: ERM, vREx and groupDRO, as a weight for each group's risk.

The gradient of an objective f(R_1, ..., R_G) is sum_g df/dR_g * grad R_g, so these weights are all that training needs:
a head or a network minimises (weights * risks).sum() with the weights held fixed for the step. Plain arithmetic on the
last axis, of numpy arrays and torch tensors alike: so it can lie here, below both probe and extract.
"""

import math
from typing import Any

DRO_STEP = 0.01
"""Of groupDRO's weights, as in WILDS."""


def unbiased_variance(risks_G: Any) -> Any:
    """(...,) sum (R_g - mean)^2 / (G - 1): what torch.var gives."""
    count = risks_G.shape[-1]
    return ((risks_G - risks_G.sum(-1)[..., None] / count) ** 2).sum(-1) / (count - 1)


def vrex(risks_G: Any, penalty: Any) -> Any:
    """The mean + penalty * V / G, all divided by the penalty where it is above 1; V is the unbiased variance.

    Of two groups V / G is the population variance, (R_1 - R_2)^2 / 4, and V half the squared difference.

    Args:
        risks_G: (..., G), G >= 2. penalty: (...,) or a number, >= 0; 0 is ERM.
    Source: Krueger et al., "Out-of-distribution generalization via risk extrapolation" (2021), equation 8, with both
    conventions of TjuJianyu/RFC src/algorithms/VREX.py. DomainBed has neither the division by the penalty nor another
    penalty than the population variance.
    """
    count = risks_G.shape[-1]
    return (risks_G.sum(-1) / count + penalty * unbiased_variance(risks_G) / count) / above_one(penalty)


def vrex_weights(risks_G: Any, penalty: Any) -> Any:
    """(..., G): derivatives of `vrex` by each group's risk. A weight may be negative: vREx may raise a low risk."""
    count = risks_G.shape[-1]
    from_mean_G = risks_G - risks_G.sum(-1)[..., None] / count
    scale = 1 / (count * above_one(penalty)) + 0 * risks_G[..., 0]  # of the shape of the members
    return scale[..., None] + (2 * penalty / (count - 1) * scale)[..., None] * from_mean_G


def above_one(penalty: Any) -> Any:
    """The penalty where it is above 1, else 1: keeps the step of stochastic gradient descent bounded."""
    return 1 + (penalty - 1) * (penalty > 1)


def dro_weights(weights_G: Any, risks_G: Any, step: float = DRO_STEP) -> Any:
    """(..., G): groupDRO's weights after these risks, q_g exp(step R_g) normalised; a group not seen has risk 0.

    Args: weights_G: as returned last time, at first 1 / G; they are state that the caller keeps.
    Source: Sagawa et al., "Distributionally robust neural networks" (2020), algorithm 1; WILDS' groupDRO.py.
    """
    grown_G = weights_G * math.e ** (step * risks_G)
    return grown_G / grown_G.sum(-1)[..., None]
