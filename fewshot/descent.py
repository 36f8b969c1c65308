"""Thousands of small SGD trainings at once, exactly the steps of the sequential loop, without ever touching a feature.

A step of SGD changes a weight vector by a combination of the batch's features, of the vector itself (weight decay)
and of its momentum. So weights v_c and momentum m_c of class c always lie in the span of the n support features and
the initial weights; K = n + C coordinates each hold them, and the Gram matrix of that span gives every logit.

Written for a class as the pair (v, m), a step is linear:

    (v, m) <- T (v, m) + (-lr, 1) * (1 - dampening) * sum_b pull_b x_b,   T of size 2 x 2

`pull` and `keep`, the part of T that depends on the data, are the rule's: `LinearRule` or `WeightNormRule`. The product
of all T so far is kept apart as `Turn`: (v, m) = Turn (v', m'), and a step changes v' and m' in the few coordinates
of its batch only. As det T = momentum, the turn shrinks, and from time to time it is multiplied into the coordinates.

Source: the schedule is wyharveychen/CloserLookFewShot's, methods/baselinefinetune.py; the steps are torch.optim.SGD's.
Letters: E episodes, C classes, n support images, B images of a batch, T epochs. The small tensors have E last, where
the processor's vector units want it.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn.functional import pad

RATE, MOMENTUM, DAMPENING, WEIGHT_DECAY, BATCH = 0.01, 0.9, 0.9, 1e-3, 4
_SMALLEST_TURN = 0.05
"""Below this determinant the coordinates would lose digits of float32."""

Coefficient = torch.Tensor | float
"""(C, E), or a number where it is the same for all."""


@dataclass
class Turn:
    """The 2 x 2 matrix that takes the kept coordinates (v', m') to (v, m): v = vv v' + vm m', m = mv v' + mm m'."""

    vv: Coefficient = 1.0
    vm: Coefficient = 0.0
    mv: Coefficient = 0.0
    mm: Coefficient = 1.0
    det: float = 1.0

    def step(self, keep: Coefficient, share: float) -> "Turn":
        """After one step: m <- momentum m + share (keep v + pull), v <- v - rate m."""
        mv, mm = MOMENTUM * self.mv + share * keep * self.vv, MOMENTUM * self.mm + share * keep * self.vm
        return Turn(self.vv - RATE * mv, self.vm - RATE * mm, mv, mm, self.det * MOMENTUM)

    def into_frame(self, share: float) -> tuple[Coefficient, Coefficient]:
        """What a pull of 1 adds to v' and m': the inverse of this matrix times (-rate, 1) share."""
        scale = share / self.det
        return (-RATE * self.mm - self.vm) * scale, (RATE * self.mv + self.vv) * scale


@dataclass(frozen=True, eq=False)
class Batch:
    """B images of each episode."""

    v_BCE: torch.Tensor
    """Inner products of their features with the weights."""
    m_BCE: torch.Tensor
    """And with the momentum."""
    truth_BCE: torch.Tensor
    """1 for the class of each image."""
    gram_BBE: torch.Tensor | None
    """Inner products of their features with each other, where the rule needs them."""


class Rule(Protocol):
    needs_gram: bool

    def step(self, batch: Batch, share: float) -> tuple[torch.Tensor, Coefficient]:
        """The gradient of v, sum_b pull_b x_b + keep v, as (pull (B, C, E), keep).

        `share` is 1 - dampening, but 1 in the first step: torch.optim.SGD starts its momentum with the whole gradient.
        """


class LinearRule:
    """Logits v_c . x, softmax and cross-entropy. A bias is one more feature of value 1."""

    needs_gram = False

    def step(self, batch: Batch, share: float) -> tuple[torch.Tensor, Coefficient]:
        del share
        return (torch.softmax(batch.v_BCE, dim=1) - batch.truth_BCE) / len(batch.v_BCE), WEIGHT_DECAY


class WeightNormRule:
    """Logits scale g_c (v_c . x) / |v_c|: torch's weight_norm over each class; g and v both decay.

    |v|^2, v . m and |m|^2 follow from the same inner products, step by step.
    """

    needs_gram = True

    def __init__(self, squared_norms_CE: torch.Tensor, scale: float) -> None:
        self.scale = scale
        self.vv_CE, self.vm_CE, self.mm_CE = squared_norms_CE, torch.zeros(()), torch.zeros(())
        self.g_CE, self.g_momentum_CE = squared_norms_CE.sqrt(), torch.zeros(())

    @property
    def gain_CE(self) -> torch.Tensor:
        """What v . x is multiplied with to make a logit."""
        return self.scale * self.g_CE * self.vv_CE.rsqrt()

    def step(self, batch: Batch, share: float) -> tuple[torch.Tensor, Coefficient]:
        assert batch.gram_BBE is not None
        gain_CE = self.gain_CE
        error_BCE = torch.softmax(batch.v_BCE * gain_CE, dim=1) - batch.truth_BCE
        pull_BCE = error_BCE * (gain_CE / len(batch.v_BCE))
        pv_CE = (pull_BCE * batch.v_BCE).sum(0)
        pm_CE = (pull_BCE * batch.m_BCE).sum(0)
        pp_CE = ((batch.gram_BBE[:, :, None] * pull_BCE).sum(1) * pull_BCE).sum(0)
        keep_CE = WEIGHT_DECAY - pv_CE / self.vv_CE
        g_gradient_CE = pv_CE / self.g_CE + WEIGHT_DECAY * self.g_CE
        self.g_momentum_CE = MOMENTUM * self.g_momentum_CE + share * g_gradient_CE
        self.g_CE = self.g_CE - RATE * self.g_momentum_CE
        # m <- momentum m + share (p + keep v) and v <- v - rate m, in inner products
        gv_CE, gm_CE = pv_CE + keep_CE * self.vv_CE, pm_CE + keep_CE * self.vm_CE
        gg_CE = pp_CE + keep_CE * (pv_CE + gv_CE)
        vm_CE = MOMENTUM * self.vm_CE + share * gv_CE
        self.mm_CE = MOMENTUM**2 * self.mm_CE + 2 * MOMENTUM * share * gm_CE + share**2 * gg_CE
        self.vm_CE = vm_CE - RATE * self.mm_CE
        self.vv_CE = self.vv_CE - RATE * (vm_CE + self.vm_CE)
        return pull_BCE, keep_CE


def descend(gram_EnK: torch.Tensor, truth_nC: torch.Tensor, orders_ETn: torch.Tensor, rule: Rule) -> torch.Tensor:
    """Train every episode from its initial weights; the coordinates of its weights, (E, K, C).

    Args:
        gram_EnK: inner products of the support features with the support features and the C initial weights.
        truth_nC: 1 for the class of each support image; the same in every episode.
        orders_ETn: the order of the support images in each epoch.
        rule: LinearRule or WeightNormRule; the latter keeps the norms.
    """
    count, n, size = gram_EnK.shape
    way = size - n
    frame_EK2C = gram_EnK.new_zeros(count, size, 2, way)
    frame_EK2C[:, n:, 0] = torch.eye(way, device=gram_EnK.device)
    turn, share = Turn(), 1.0
    first_E1 = torch.arange(count, device=gram_EnK.device)[:, None]
    for order_nE in orders_ETn.permute(1, 2, 0).long():
        order_En = order_nE.t()
        rows_EnK = gram_EnK.flatten(0, 1).index_select(0, (order_En + first_E1 * n).flatten()).view(count, n, size)
        gram_nBE = _batch_grams(rows_EnK, order_En) if rule.needs_gram else None
        truth_nCE = truth_nC[order_nE].transpose(1, 2).contiguous()
        for i in range(0, n, BATCH):
            part = slice(i, i + BATCH)
            both_B2CE = torch.bmm(rows_EnK[:, part], frame_EK2C.flatten(2)).permute(1, 2, 0).contiguous()
            v_BCE, m_BCE = both_B2CE.view(-1, 2, way, count).unbind(1)
            batch = Batch(
                turn.vv * v_BCE + turn.vm * m_BCE,
                turn.mv * v_BCE + turn.mm * m_BCE,
                truth_nCE[part],
                None if gram_nBE is None else gram_nBE[part, : len(v_BCE)],
            )
            pull_BCE, keep = rule.step(batch, share)
            turn = turn.step(keep, share)
            change_B2CE = torch.empty_like(both_B2CE).view(-1, 2, way, count)
            for side, coefficient in enumerate(turn.into_frame(share)):
                torch.mul(pull_BCE, coefficient, out=change_B2CE[:, side])
            where = (order_En[:, part] + first_E1 * size).flatten()
            frame_EK2C.view(-1, 2 * way).index_add_(0, where, change_B2CE.permute(3, 0, 1, 2).reshape(-1, 2 * way))
            share = 1 - DAMPENING
            if turn.det < _SMALLEST_TURN:
                frame_EK2C, turn = _turned(frame_EK2C, turn), Turn()
    return _turned(frame_EK2C, turn)[:, :, 0]


def _batch_grams(rows_EnK: torch.Tensor, order_En: torch.Tensor) -> torch.Tensor:
    """Inner products of each image, in the order of the epoch, with those of its batch: (n, B, E)."""
    count, n = order_En.shape
    batches = -(-n // BATCH)
    padded_EN = pad(order_En, (0, batches * BATCH - n))
    columns_EnB = padded_EN.reshape(count, batches, 1, BATCH).expand(-1, -1, BATCH, -1).flatten(1, 2)[:, :n]
    return rows_EnK.gather(2, columns_EnB).permute(1, 2, 0).contiguous()


def _turned(frame_EK2C: torch.Tensor, turn: Turn) -> torch.Tensor:
    vv, vm, mv, mm = (
        x.t()[:, None] if isinstance(x, torch.Tensor) else x for x in (turn.vv, turn.vm, turn.mv, turn.mm)
    )
    v_EKC, m_EKC = frame_EK2C.unbind(2)
    return torch.stack([vv * v_EKC + vm * m_EKC, mv * v_EKC + mm * m_EKC], dim=2)
