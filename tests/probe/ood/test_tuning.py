import numpy as np
import pytest
import torch

from probe.ood.groups import Part
from probe.ood.tuning import Watch, spread, spread_of
from probe.solvers.members import Heads, Member


def test_spread_is_split_into_its_sources() -> None:
    init, seed, setting = np.array([0.0, 4.0, 8.0]), np.array([0.0, 1.0]), np.array([0.0, 0.25, 0.5])
    table = init[:, None, None] + seed[None, :, None] + setting[None, None, :]
    found = spread(table)
    assert found["initialisation"] == pytest.approx(init.std(ddof=1))
    assert found["seed"] == pytest.approx(seed.std(ddof=1))
    assert found["setting"] == pytest.approx(setting.std(ddof=1))
    assert spread(table[:1, :1, :1]) == {"seed": None, "setting": 0.0, "initialisation": None}


def test_spread_compares_the_settings_that_some_run_chose() -> None:
    def row(tests, chosen):
        names = {"lr": 0.1, "weight_decay": 0.0, "anneal": 0}
        grid = [{**names, "penalty": p, "seed": s, "iid": {"test_top1": test}} for (s, p), test in tests.items()]
        return {"grid": grid, "tunings": {"iid": {"runs": [{**names, "penalty": p, "seed": s} for s, p in chosen]}}}

    tests = {(0, 0.0): 0.5, (0, 1.0): 0.7, (0, 9.0): 0.1, (1, 0.0): 0.5, (1, 1.0): 0.7, (1, 9.0): 0.9}
    assert spread_of([row(tests, [(0, 0.0), (1, 0.0)])], "iid")["setting"] == 0.0
    found = spread_of([row(tests, [(0, 0.0), (1, 1.0)])], "iid")
    assert found["setting"] == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert found["seed"] == 0.0


def test_the_earliest_of_equal_epochs_is_kept_with_its_head(made, data_of) -> None:
    x_ND, y_N = made(20, 3, 2)
    data = data_of(x_ND, y_N)
    members = [Member("erm", 0.1, 0.0, 0.0, 0, seed) for seed in (0, 1)]
    group_N = np.arange(20) % 2

    class Split:
        pass

    split = Split()
    split.data = data
    watch = Watch({role: Part(split, ("p", "q"), group_N) for role in ("id_val", "ood_val", "test")}, members)
    heads = Heads(data, members)
    sides = torch.from_numpy(x_ND[y_N == 1].mean(0) - x_ND[y_N == 0].mean(0))
    for epoch, scale in ((1, -1.0), (2, 1.0), (3, 2.0)):  # wrong, right, and just as right
        heads.weight[:] = scale * sides
        watch(epoch, heads)
    best = watch.best["ood", "erm", 1]
    assert watch.epochs[best.check] == 2
    weight = best.weight[1] - best.weight[0]
    assert torch.allclose(weight, sides)  # a copy: what came later has not changed it
    assert best.accuracy == watch.accuracy("ood_val")[1, 1] > 0.5
    by_group = watch.by_group("test", best.check, 1)
    assert np.mean(list(by_group.values())) == pytest.approx(best.accuracy)
    assert watch.grid("erm")[1]["iid"]["epoch"] == 2
    heads.weight[1] = torch.nan  # a head that diverged is right nowhere, whatever class it would name
    watch(4, heads)
    assert watch.accuracy("test")[3].tolist() == [watch.accuracy("test")[2, 0], 0.0]
