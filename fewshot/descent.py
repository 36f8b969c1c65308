"""Thousands of small SGD trainings at once, exactly the steps of the sequential loop, without touching a feature.

A step of SGD changes a weight vector by a combination of the batch's features, of the vector itself (weight decay)
and of its momentum. So the weights v_c and the momentum m_c of class c always lie in the span of the n support
features and the initial weights: K = n + C coordinates hold each, and the Gram matrix of the span gives every logit.

For the pair (v, m) of a class a step is linear, with sums over the images b of the batch:

    m <- momentum m + share (keep v + sum_b pull_b x_b),    v <- v - rate m

A rule (`LinearRule`, `WeightNormRule`) finds `pull` and `keep`. What a step does to (v, m) beside the sum is a 2 x 2
matrix; the product of these matrices is kept apart, as `turn`: (v, m) = turn (v', m'). Then a step changes v' and m'
only in the coordinates of its batch. A step multiplies the determinant of `turn` by the momentum, so from time to
time `turn` is multiplied into the coordinates and starts again from 1.

Source: the schedule is wyharveychen/CloserLookFewShot's, methods/baselinefinetune.py; the steps are torch.optim.SGD's.
Letters: E episodes, C classes, n support images, B images of a batch, T epochs; 2 is (v, m). The small tensors have E
last, where the processor's vector units want it.
"""

from typing import Protocol

import torch
from torch.nn.functional import pad

RATE, MOMENTUM, DAMPENING, WEIGHT_DECAY, BATCH = 0.01, 0.9, 0.9, 1e-3, 4
_SMALLEST_TURN = 0.05
"""Below this determinant the coordinates would lose digits of float32."""


class Rule(Protocol):
    needs_gram: bool

    def step(
        self, vm_B2CE: torch.Tensor, truth_BCE: torch.Tensor, gram_BBE: torch.Tensor | None, share: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradient of the loss and its weight decay, sum_b pull_b x_b + keep v, as (pull (B, C, E), keep).

        Args:
            vm_B2CE: inner products of the batch's features with weights and momentum, before the step.
            truth_BCE: 1 for the class of each image.
            gram_BBE: inner products of the batch's features with each other, if `needs_gram`.
            share: 1 - dampening; 1 in the first step, as torch.optim.SGD starts its momentum with the whole gradient.
        """


class LinearRule:
    """Logits v_c . x, softmax and cross-entropy. A bias is the weight of one more feature, of value 1."""

    needs_gram = False

    def step(
        self,
        vm_B2CE: torch.Tensor,
        truth_BCE: torch.Tensor,
        gram_BBE: torch.Tensor | None,  # noqa: ARG002
        share: float,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        error_BCE = torch.softmax(vm_B2CE[:, 0], dim=1) - truth_BCE
        return error_BCE / len(error_BCE), vm_B2CE.new_full((1, 1), WEIGHT_DECAY)


class WeightNormRule:
    """Logits scale g_c (v_c . x) / |v_c|: torch's weight_norm over each class; g and v both decay.

    |v|^2, v . m and |m|^2 follow from the same inner products, step by step.
    """

    needs_gram = True

    def __init__(self, squared_norms_CE: torch.Tensor, scale: float) -> None:
        self.scale = scale
        self.vv_vm_2CE = torch.stack([squared_norms_CE, torch.zeros_like(squared_norms_CE)])
        self.mm_CE = torch.zeros_like(squared_norms_CE)
        self.g_CE, self.g_momentum_CE = squared_norms_CE.sqrt(), torch.zeros_like(squared_norms_CE)

    @property
    def gain_CE(self) -> torch.Tensor:
        """What v . x is multiplied with to make a logit."""
        return self.scale * self.g_CE * self.vv_vm_2CE[0].rsqrt()

    def step(
        self, vm_B2CE: torch.Tensor, truth_BCE: torch.Tensor, gram_BBE: torch.Tensor | None, share: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert gram_BBE is not None
        gain_CE = self.gain_CE
        pull_BCE = torch.softmax(vm_B2CE[:, 0] * gain_CE, dim=1).sub_(truth_BCE).mul_(gain_CE / len(truth_BCE))
        # inner products of p = sum_b pull_b x_b with v, m and itself
        p_2CE = (vm_B2CE * pull_BCE[:, None]).sum(0)
        pp_CE = ((gram_BBE[:, :, None] * pull_BCE).sum(1) * pull_BCE).sum(0)
        pv_CE, (vv_CE, vm_CE) = p_2CE[0], self.vv_vm_2CE
        keep_CE = WEIGHT_DECAY - pv_CE / vv_CE
        g_gradient_CE = torch.add(pv_CE / self.g_CE, self.g_CE, alpha=WEIGHT_DECAY)
        self.g_momentum_CE = torch.add(MOMENTUM * self.g_momentum_CE, g_gradient_CE, alpha=share)
        self.g_CE = torch.add(self.g_CE, self.g_momentum_CE, alpha=-RATE)
        # the same for the gradient p + keep v, and with them the step in inner products
        gv_CE, gm_CE = torch.addcmul(p_2CE, keep_CE, self.vv_vm_2CE)
        gg_CE = torch.addcmul(pp_CE, keep_CE, pv_CE + gv_CE)
        between_CE = torch.add(MOMENTUM * vm_CE, gv_CE, alpha=share)  # old v, new m
        grown_CE = torch.add(MOMENTUM**2 * self.mm_CE, gm_CE, alpha=2 * MOMENTUM * share)
        self.mm_CE = torch.add(grown_CE, gg_CE, alpha=share**2)
        vm_CE = torch.add(between_CE, self.mm_CE, alpha=-RATE)
        self.vv_vm_2CE = torch.stack([torch.add(vv_CE, between_CE + vm_CE, alpha=-RATE), vm_CE])
        return pull_BCE, keep_CE


def descend(gram_EnK: torch.Tensor, labels_n: torch.Tensor, orders_ETn: torch.Tensor, rule: Rule) -> torch.Tensor:
    """Train every episode from its initial weights; the coordinates of its weights, (E, K, C).

    Args:
        gram_EnK: inner products of the support features with the support features and the C initial weights.
        labels_n: class of each support image, the same in every episode.
        orders_ETn: the order of the support images in each epoch.
        rule: LinearRule or WeightNormRule; the latter keeps the norms.
    """
    (count, n, size), device = gram_EnK.shape, gram_EnK.device
    way = size - n
    frame_EK2C = gram_EnK.new_zeros(count, size, 2, way)
    frame_EK2C[:, n:, 0] = torch.eye(way, device=device)
    one_22CE = torch.eye(2, device=device)[:, :, None, None]
    turn_22CE, determinant, share = one_22CE, 1.0, 1.0
    first_E1 = torch.arange(count, device=device)[:, None]
    for order_nE in orders_ETn.permute(1, 2, 0).long():
        order_En = order_nE.t()
        rows_EnK = gram_EnK.flatten(0, 1).index_select(0, (order_En + first_E1 * n).flatten()).view(count, n, size)
        gram_nBE = _batch_grams(rows_EnK, order_En) if rule.needs_gram else None
        truth_nCE = gram_EnK.new_zeros(n, way, count).scatter_(1, labels_n[order_nE][:, None], 1.0)
        for i in range(0, n, BATCH):
            part = slice(i, i + BATCH)
            flat_BSE = torch.bmm(rows_EnK[:, part], frame_EK2C.flatten(2)).permute(1, 2, 0).contiguous()
            kept_B2CE = flat_BSE.view(-1, 2, way, count)
            vm_B2CE = torch.addcmul(turn_22CE[:, 0] * kept_B2CE[:, :1], turn_22CE[:, 1], kept_B2CE[:, 1:])
            gram_BBE = None if gram_nBE is None else gram_nBE[part, : len(vm_B2CE)]
            pull_BCE, keep = rule.step(vm_B2CE, truth_nCE[part], gram_BBE, share)
            m_2CE = torch.addcmul(MOMENTUM * turn_22CE[1], share * keep, turn_22CE[0])
            turn_22CE = torch.stack([torch.add(turn_22CE[0], m_2CE, alpha=-RATE), m_2CE])
            determinant *= MOMENTUM
            # a pull adds (-rate, 1) share to (v, m): the inverse of turn takes that to (v', m')
            change_B2CE, into_2CE = torch.empty_like(kept_B2CE), torch.add(turn_22CE[0], turn_22CE[1], alpha=RATE)
            torch.mul(pull_BCE, into_2CE[1] * (-share / determinant), out=change_B2CE[:, 0])
            torch.mul(pull_BCE, into_2CE[0] * (share / determinant), out=change_B2CE[:, 1])
            where = (order_En[:, part] + first_E1 * size).flatten()
            frame_EK2C.view(-1, 2 * way).index_add_(0, where, change_B2CE.permute(3, 0, 1, 2).reshape(-1, 2 * way))
            share = 1 - DAMPENING
            if determinant < _SMALLEST_TURN:
                frame_EK2C, turn_22CE, determinant = _turned(frame_EK2C, turn_22CE), one_22CE, 1.0
    return _turned(frame_EK2C, turn_22CE)[:, :, 0]


def _batch_grams(rows_EnK: torch.Tensor, order_En: torch.Tensor) -> torch.Tensor:
    """Inner products of each image, in the order of the epoch, with those of its batch: (n, B, E)."""
    count, n = order_En.shape
    batches = -(-n // BATCH)
    padded_EN = pad(order_En, (0, batches * BATCH - n))
    columns_EnB = padded_EN.reshape(count, batches, 1, BATCH).expand(-1, -1, BATCH, -1).flatten(1, 2)[:, :n]
    return rows_EnK.gather(2, columns_EnB).permute(1, 2, 0).contiguous()


def _turned(frame_EK2C: torch.Tensor, turn_22CE: torch.Tensor) -> torch.Tensor:
    turn_E22C = turn_22CE.permute(3, 0, 1, 2)
    v_EKC, m_EKC = frame_EK2C.unbind(2)
    return turn_E22C[:, None, :, 0] * v_EKC[:, :, None] + turn_E22C[:, None, :, 1] * m_EKC[:, :, None]
