import numpy as np
import pytest
import torch
from torch import nn

from probe.data import Data
from probe.solvers import Settings, sgd, solve
from probe.solvers.wide import START_STD
from store.errors import BadValue
from store.heads import StoredHead

SETTINGS = {"weight_decay": (1e-2,), "epochs": 7, "batch": 32, "seed": 3, "seeds": (5,)}


def plain_torch(data: Data, x_ND, batch_norm: str, lr: float, weight_decay: float, *, decay: bool = False) -> nn.Module:
    """The protocol written as upstream does, one run. decay: weight decay on BatchNorm's scale and shift too."""
    C, D = data.num_classes, data.dim
    linear = nn.Linear(D, C)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(C, D, generator=torch.Generator().manual_seed(5)) * START_STD)
        linear.bias.zero_()
    norm = [] if batch_norm == "none" else [nn.BatchNorm1d(D, affine=batch_norm == "affine")]
    model = nn.Sequential(*norm, linear).train()
    groups = [{"params": linear.parameters(), "weight_decay": weight_decay}]
    if batch_norm == "affine":
        groups.append({"params": norm[0].parameters(), "weight_decay": weight_decay if decay else 0})
    optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4, 6], 0.1)
    for epoch in range(7):
        for rows in sgd.batches(data.total, 32, 3, epoch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(torch.from_numpy(x_ND[rows])), data.y_N[rows]).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


@pytest.mark.parametrize(
    ("batch_norm", "decay"), [("affine", False), ("affine", True), ("plain", False), ("none", False)]
)
@pytest.mark.parametrize("weight_decay", [1e-2, 1.0])
def test_a_run_is_torchs(made, data_of, batch_norm, decay, weight_decay) -> None:
    x_ND, y_N = made(150, 9, 4)
    data = data_of(x_ND, y_N)
    settings = SETTINGS | {"weight_decay": (weight_decay,)}
    (fit,) = solve("sgd", data, Settings(**settings, lr=(0.05,), batch_norm=batch_norm, decay_batch_norm=decay))
    want = plain_torch(data, x_ND, batch_norm, 0.05, weight_decay, decay=decay)(torch.from_numpy(x_ND))
    assert (fit.head(torch.from_numpy(x_ND)) - want).norm() < 5e-6 * want.norm()
    if batch_norm == "affine":
        other = plain_torch(data, x_ND, batch_norm, 0.05, weight_decay, decay=not decay)(torch.from_numpy(x_ND))
        assert (other - want).norm() > 1e-3 * want.norm()  # the two readings are two protocols


@pytest.mark.parametrize("solver", ["sgd", "cosine"])
def test_a_member_of_the_grid_is_the_run_alone(made, data_of, solver) -> None:
    data = data_of(*made(150, 9, 4))
    grid = {**SETTINGS, "weight_decay": (1e-3, 1e-1), "seeds": (5, 6)}
    fits = solve(solver, data, Settings(**grid, lr=(0.05, 0.5)))
    assert len(fits) == 8
    for fit in fits:
        one = {**SETTINGS, "weight_decay": (fit.weight_decay,), "seeds": (fit.extra["seeds"],)}
        (alone,) = solve(solver, data, Settings(**one, lr=(fit.extra["lr"],)))
        assert torch.allclose(fit.head.weight, alone.head.weight, atol=1e-5)


def test_cosine_is_the_weight_normalised_layer_of_torch(made, data_of) -> None:
    x_ND, y_N = made(120, 6, 3)
    data = data_of(x_ND, y_N)
    (fit,) = solve("cosine", data, Settings(**SETTINGS, lr=(0.5,)))
    bound = 6**-0.5
    v = (torch.rand(3, 6, generator=torch.Generator().manual_seed(5)) * 2 - 1) * bound
    v, g = v.clone().requires_grad_(), v.norm(dim=1).requires_grad_()
    optimizer = torch.optim.SGD([v, g], lr=0.5, momentum=0.9, nesterov=True, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4, 6], 0.1)

    def logits(x):
        return 2 * (x / (x.norm(dim=1, keepdim=True) + 1e-5)) @ (g[:, None] * v / v.norm(dim=1, keepdim=True)).T

    for epoch in range(7):
        for rows in sgd.batches(data.total, 32, 3, epoch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits(torch.from_numpy(x_ND[rows])), data.y_N[rows]).backward()
            optimizer.step()
        schedule.step()
    x = torch.from_numpy(x_ND)
    assert torch.allclose(fit.head(x), logits(x), atol=1e-4)


def test_one_diverging_member_leaves_the_others_alone(made, data_of, caplog) -> None:
    x_ND, y_N = made(150, 9, 4)
    data = data_of(x_ND * 100, y_N)
    settings = {**SETTINGS, "weight_decay": (1.0,), "batch_norm": "none"}
    wild, calm = solve("sgd", data, Settings(**settings, lr=(1e3, 1e-5)))
    assert wild.certificate == {"last_epoch_loss": None, "diverged": True}
    assert not wild.head.weight.any()
    assert "lr 1000, weight decay 1, seed 5 diverged" in caplog.text
    (alone,) = solve("sgd", data, Settings(**settings, lr=(1e-5,)))
    assert torch.allclose(calm.head.weight, alone.head.weight)
    with pytest.raises(BadValue, match=r"every run diverged at learning rates \[1000.0\] and weight decays"):
        solve("sgd", data, Settings(**settings, lr=(1e3,)))


def test_the_averaged_start_has_the_mean_of_the_logits(made, data_of) -> None:
    x_ND, y_N = made(40, 6, 3)
    rng = np.random.default_rng(0)
    heads = [StoredHead(weight=rng.normal(size=(3, 6)), bias=rng.normal(size=3)) for _ in range(1)]
    data = data_of(x_ND, y_N)
    settings = Settings(weight_decay=(0.0,), epochs=0, batch_norm="none", average=tuple(heads))
    (fit,) = solve("sgd", data, settings)
    assert np.allclose(fit.head(torch.from_numpy(x_ND)).numpy(), x_ND @ heads[0].weight.T + heads[0].bias, atol=1e-5)
    with pytest.raises(
        BadValue, match=r"the heads to average have shapes \[\(3, 6\), \(3, 6\)\]; the blocks have \[6\]"
    ):
        solve("sgd", data, Settings(weight_decay=(0.0,), average=(heads[0], heads[0])))


def test_a_last_batch_of_one_row_is_skipped_by_batch_norm(made, data_of) -> None:
    data = data_of(*made(33, 4, 3))
    (fit,) = solve("sgd", data, Settings(**SETTINGS))
    assert torch.isfinite(fit.head.weight).all()


def test_bfloat16_products_end_near_the_float32_run(made, data_of) -> None:
    data = data_of(*made(600, 40, 4))
    settings = {**SETTINGS, "lr": (0.05,), "epochs": 8}
    (exact,), (low,) = (solve("sgd", data, Settings(**settings, precision=p)) for p in ("auto", "bfloat16"))
    loss = exact.certificate["last_epoch_loss"]
    assert low.certificate["last_epoch_loss"] == pytest.approx(loss, rel=1e-2)
    assert low.certificate["last_epoch_loss"] != loss
    assert low.head.weight.dtype == torch.float32


@pytest.mark.parametrize("solver", ["sgd", "cosine"])
def test_every_epoch_can_be_watched(made, data_of, solver) -> None:
    seen: list = []
    settings = {**SETTINGS, "weight_decay": (1e-2, 1e-1), "epochs": 3}
    watching = Settings(**settings, lr=(0.05,), watch=lambda epoch, heads: seen.append((epoch, heads)))
    fits = solve(solver, data_of(*made(150, 9, 4)), watching)
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    for fit, last, first in zip(fits, seen[-1][1], seen[0][1], strict=True):
        assert torch.equal(fit.head.weight, last.weight)
        assert not torch.equal(first.weight, last.weight)
