"""Stochastic gradient descent as the paper runs it, every member of the grid trained in one pass over the data.

Source: TjuJianyu/RRL supervised.py and scripts (lineareval): BatchNorm1d then Linear, W ~ N(0, 0.01²), b = 0; SGD with
Nesterov momentum 0.9, weight decay as torch.optim.SGD adds it (on the bias too, unlike the other solvers, but not on
BatchNorm's scale and shift, which every linear probing script there leaves out by --wd_skip_bn), lr 0.01 divided by 10
after 8/28, 16/28 and 24/28 of the epochs, batches of 256. All members (lr, weight decay, seed of the start) see the
same batches, in an order that the settings' seed draws: their heads are rows of one wide product, on a processor of one
for each thread (parts.py), and none touches another. Products are float32, as upstream's; precision "bfloat16" asks for
bfloat16 ones with float32 weights and sums, as autocast would.
"""

import itertools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from probe import ranks
from probe.config import BATCH_NORMS
from probe.data import Data
from probe.heads import CosineHead, LinearHead
from probe.objectives import cross_entropy
from probe.solvers import Fit, Settings
from probe.solvers.norm import MOMENTUM, BatchNorm
from probe.solvers.parts import split, train
from probe.solvers.wide import Member, WideCosine, WideLinear
from store.errors import BadValue

log = logging.getLogger("probe")
DECAYS = (8 / 28, 16 / 28, 24 / 28)
"""After these parts of the epochs the learning rate is divided by 10."""
UNSETTLED = 0.01
"""More of BatchNorm's start than this in its running statistics is told: 43 batches or fewer."""


def fit(data: Data, settings: Settings) -> list[Fit]:
    """Linear heads, one for each (lr, weight decay, seed); BatchNorm's running statistics are folded into them.

    Raises: BadValue: every member diverged; a batch_norm that is not affine, plain or none.
    """
    members = list(itertools.product(settings.lr, settings.weight_decay, settings.seeds))
    if settings.batch_norm not in BATCH_NORMS:
        raise BadValue(f"batch norm {settings.batch_norm!r}: one of {', '.join(BATCH_NORMS)}")
    affine = settings.batch_norm == "affine"
    reduced = settings.precision == "bfloat16"
    layers = [
        WideLinear(
            data, part, affine=affine, decay_affine=settings.decay_batch_norm, average=settings.average, reduced=reduced
        )
        for part in split(members, data.device)
    ]
    norm = None if settings.batch_norm == "none" else BatchNorm(data.dim, data.device)
    steps = settings.epochs * math.ceil(data.total / settings.batch)
    if norm is not None and data.prepare.nothing and (1 - MOMENTUM) ** steps > UNSETTLED:
        log.warning("BatchNorm has seen %d batches at the end, and its running mean and variance are still %.0f %% of "
                    "what they began as: train longer, take smaller batches, or standardise the blocks (a:std)",
                    steps, 100 * (1 - MOMENTUM) ** steps)  # fmt: skip

    def heads() -> list[LinearHead]:
        plain = [layer.plain() if norm is None else norm.fold(*layer.plain()) for layer in layers]
        return [LinearHead(w, b) for both in plain for w, b in zip(*both, strict=True)]

    return _finish(members, _train(data, settings, layers, norm, heads), heads())


def fit_cosine(data: Data, settings: Settings) -> list[Fit]:
    """Cosine heads, one for each (lr, weight decay, seed): scale * g_c cos(x, v_c), g and v learned, no bias.

    Source: Chen et al., "A closer look at few-shot classification" (2019), distLinear: scale 2 up to 200 classes, 10
    beyond. They train it with Adam; here it is the schedule of `fit` at learning rates a hundred times larger, because
    features of length 1 give gradients that much smaller.
    """
    members = list(itertools.product(settings.lr, settings.weight_decay, settings.seeds))
    scale = 2.0 if data.num_classes <= 200 else 10.0
    layers = [WideCosine(data, part, scale) for part in split(members, data.device)]

    def heads() -> list[CosineHead]:
        return [CosineHead(weight, scale) for layer in layers for weight in layer.plain()]

    return _finish(members, _train(data, settings, layers, None, heads), heads())


def batches(total: int, size: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """Positions of each batch of an epoch, the last one shorter; the order depends on (seed, epoch) alone."""
    order = np.random.default_rng([seed, epoch]).permutation(total)
    for start in range(0, total, size):
        yield order[start : start + size]


class Batch(NamedTuple):
    x_BD: Tensor
    """This rank's rows, as the layers multiply them."""
    y_B: Tensor
    total: int
    """Rows over all ranks."""


def _train(
    data: Data,
    settings: Settings,
    layers: Sequence[WideLinear | WideCosine],
    norm: BatchNorm | None,
    heads: Callable[[], Sequence[Any]],
) -> Tensor:
    """Run every epoch; returns the last epoch's mean loss of each member (K,), NaN for one that diverged."""
    for epoch in range(settings.epochs):
        # from averaged heads there are 1 or 2 epochs, which upstream's milestones (8, 16, 24) never reach
        drops = 0 if settings.average else sum(epoch >= round(part * settings.epochs) for part in DECAYS)
        for layer in layers:
            layer.loss_K.zero_()
        train(partial(_step, factor=0.1**drops), layers, _batches(data, settings, layers[0], norm, epoch))
        if settings.watch is not None:
            settings.watch(epoch + 1, [head if _finite(head) else head.silent() for head in heads()])
    return ranks.add(torch.cat([layer.loss_K for layer in layers])) / data.total


def _batches(
    data: Data, settings: Settings, layer: WideLinear | WideCosine, norm: BatchNorm | None, epoch: int
) -> Iterator[Batch]:
    for positions in batches(data.total, settings.batch, settings.seed, epoch):
        count = len(positions)
        if norm is not None and count == 1:
            continue  # one row has no variance
        rows = data.local(positions)
        x_BD = data.read(rows, epoch % max(1, len(data.views))) if len(rows) else _no_rows(data)
        if norm is not None:
            x_BD = norm(x_BD, count)
        yield Batch(layer.inputs(x_BD), data.y_N[torch.from_numpy(rows)], count)


def _step(layer: WideLinear | WideCosine, batch: Batch, factor: float) -> None:
    logits_BKC = layer.logits(batch.x_BD)
    loss_K, residual_BKC = cross_entropy(logits_BKC, batch.y_B, layer.shared)
    layer.loss_K += loss_K
    layer.step(residual_BKC.flatten(1).div_(batch.total), batch.x_BD, factor)


def _no_rows(data: Data) -> Tensor:
    return torch.empty((0, data.dim), device=data.device)


def _finite(head: Any) -> bool:
    return bool(torch.isfinite(head.weight).all())


def _finish(members: list[Member], losses: Tensor, heads: list[Any]) -> list[Fit]:
    ok = [bool(torch.isfinite(loss)) and _finite(head) for loss, head in zip(losses, heads, strict=True)]
    if not any(ok):
        raise BadValue(
            f"every run diverged at learning rates {sorted({lr for lr, *_ in members})} and weight decays "
            f"{sorted({decay for _, decay, _ in members})}: give smaller ones"
        )
    fits = []
    for (lr, weight_decay, seed), loss, head, fine in zip(members, losses.tolist(), heads, ok, strict=True):
        if not fine:
            log.warning("lr %g, weight decay %g, seed %d diverged: it predicts nothing", lr, weight_decay, seed)
            head = head.silent()  # noqa: PLW2901
        fits.append(
            Fit(
                head=head,
                weight_decay=weight_decay,
                extra={"lr": lr, "seeds": seed},
                certificate={"last_epoch_loss": loss if fine else None, "diverged": not fine},
            )
        )
    return fits
