from itertools import combinations, pairwise

import numpy as np
import pytest
import torch

from probe.search.lattice import Sweep, tree
from probe.search.normal import Normal
from store.errors import BadValue

DIMS = (3, 7, 1, 5, 4)
EDGES = np.cumsum([0, *DIMS])
COLUMNS = [np.arange(low, high) for low, high in pairwise(EDGES)]
EVERY = [subset for size in range(1, 6) for subset in combinations(range(5), size)]


@pytest.fixture
def problem(made):
    """Features of fitted and of scored rows, targets ±1, all float64."""
    x_ND, y_N = made(90, sum(DIMS), 6)
    x_ND = torch.from_numpy(x_ND).double() * torch.linspace(0.2, 3, sum(DIMS))
    return x_ND[:60], x_ND[60:], 2 * torch.nn.functional.one_hot(torch.from_numpy(y_N))[:60].double() - 1


def equations(x_ND: torch.Tensor, t_NC: torch.Tensor) -> Normal:
    centred, total = x_ND - x_ND.mean(0), len(x_ND)
    gram = {(i, j): centred[:, COLUMNS[i]].T @ centred[:, COLUMNS[j]] / total for i in range(5) for j in range(i, 5)}
    cross = [centred[:, columns].T @ t_NC / total for columns in COLUMNS]
    return Normal(DIMS, gram, cross, t_NC.mean(0), None, [x_ND[:, columns].mean(0) for columns in COLUMNS], total)


def rows_of(x: torch.Tensor, scored: torch.Tensor, kind: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [(scored - x.mean(0))[:, columns].T.to(kind).contiguous() for columns in COLUMNS]


def by_blocks(x, scored, t, weight_decay, wanted, order, kind=torch.float64) -> dict:
    found = {}
    sweep = Sweep(equations(x, t), rows_of(x, scored, kind))
    sweep(tree(wanted, order), weight_decay, lambda subset, logits: found.__setitem__(subset, logits.T.clone()))
    return found


def concatenated(x, scored, t, weight_decay, subset) -> torch.Tensor:
    """Ridge on the concatenated matrix, as a textbook has it."""
    columns = np.concatenate([COLUMNS[i] for i in subset])
    x, scored = x[:, columns], scored[:, columns]
    centred = x - x.mean(0)
    gram = centred.T @ centred / len(x) + weight_decay * torch.eye(len(columns)).double()
    weight = torch.linalg.solve(gram, centred.T @ (t - t.mean(0)) / len(x))
    return (scored - x.mean(0)) @ weight + t.mean(0)


@pytest.mark.parametrize("seed", range(4))
def test_ridge_from_blocks_is_ridge_on_the_concatenated_matrix(problem, seed) -> None:
    rng = np.random.default_rng(seed)
    order, weight_decay = rng.permutation(5).tolist(), 10.0 ** rng.uniform(-6, 1)
    wanted = EVERY if seed == 0 else [EVERY[i] for i in rng.choice(len(EVERY), 8, replace=False)]
    found = by_blocks(*problem, weight_decay, wanted, order)
    assert set(found) == set(wanted)
    for subset, logits in found.items():
        torch.testing.assert_close(logits, concatenated(*problem, weight_decay, subset), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("carries", [True, False])
def test_where_scored_rows_are_carried_changes_nothing(problem, monkeypatch, carries) -> None:
    monkeypatch.setattr(Sweep, "_pays", lambda self, child: carries)
    for subset, logits in by_blocks(*problem, 1e-3, EVERY, range(5)).items():
        torch.testing.assert_close(logits, concatenated(*problem, 1e-3, subset), rtol=1e-6, atol=1e-9)


def test_float32_rows_give_float32_logits(problem) -> None:
    for subset, logits in by_blocks(*problem, 1e-2, EVERY, range(5), torch.float32).items():
        torch.testing.assert_close(logits.double(), concatenated(*problem, 1e-2, subset), rtol=1e-4, atol=1e-5)


def test_one_sweep_is_used_again(problem) -> None:
    x, scored, t = problem
    sweep = Sweep(equations(x, t), rows_of(x, scored))
    for weight_decay, wanted in ((1.0, EVERY), (1e-4, EVERY[3:9]), (1e-2, EVERY)):
        found = {}
        sweep(tree(wanted, range(5)), weight_decay, lambda s, logits, f=found: f.__setitem__(s, logits.T.clone()))
        for subset in wanted:
            expected = concatenated(x, scored, t, weight_decay, subset)
            torch.testing.assert_close(found[subset], expected, rtol=1e-6, atol=1e-9)


def test_columns_that_depend_on_each_other_need_weight_decay(problem) -> None:
    x, scored, t = problem
    x = torch.cat([x[:, :3], x[:, :7], x[:, 10:]], 1)  # the first block again within the second
    with pytest.raises(BadValue, match="give a larger --weight-decay"):
        by_blocks(x, scored, t, 0.0, EVERY, range(5))
