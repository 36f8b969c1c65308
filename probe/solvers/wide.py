"""K heads as the rows of one matrix: logits in one product, gradients in another, and SGD on all at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from probe import ranks
from probe.data import Data
from store.errors import BadValue

START_STD = 0.01
MOMENTUM = 0.9


Member = tuple[float, float, int]
"""lr, weight decay, seed of the start"""


class Sgd:
    """torch.optim.SGD(nesterov=True, fused=True) on K vectors, each with its own settings, one at a time."""

    def __init__(self, values_KP: Tensor, members: Sequence[Member], free: int = 0) -> None:
        """Args: values (K, P), moved in place; no weight decay falls on the last `free` of the P."""
        self.members, self.sizes = members, [values_KP.shape[1] - free, *([free] if free else [])]
        speeds_KP = torch.zeros_like(values_KP)
        self.values, self.speeds = ([torch.split(row, self.sizes) for row in rows] for rows in (values_KP, speeds_KP))

    def step(self, k: int, gradient_P: Tensor, factor: float) -> None:
        """Move member k. The gradient is of the mean loss, summed over ranks; it is overwritten. factor: of the lr."""
        lr, decay, _ = self.members[k]
        parts = zip(self.values[k], torch.split(gradient_P, self.sizes), self.speeds[k], (decay, 0.0), strict=False)
        for values, gradient, speed, part_decay in parts:
            torch._fused_sgd_(
                [values], [gradient], [speed], weight_decay=part_decay, momentum=MOMENTUM,
                lr=lr * factor, dampening=0.0, nesterov=True, maximize=False, is_first_step=False,
            )  # fmt: skip


class _View(NamedTuple):
    """One member's part of each of a layer's tensors: making views anew costs a small step dear."""

    weight: Tensor
    bias: Tensor
    product: Tensor
    offset: Tensor
    gain: Tensor | None
    shift: Tensor | None


class WideLinear:
    """K linear heads, with BatchNorm's scale and shift in front of each where `affine`.

    A step moves one member after the other, so that what belongs to it stays in the cache; buffers are kept from step
    to step, because memory that is asked for anew costs more than the arithmetic on it.

    Args:
        decay_affine: whether weight decay falls on scale and shift too.
        reduced: multiply in bfloat16; weights, sums and momentum stay float32, as under autocast.
    """

    def __init__(
        self, data: Data, members: Sequence[Member], *, affine: bool, decay_affine: bool = False,
        average: Sequence[Any] = (), reduced: bool = False,
    ) -> None:  # fmt: skip
        self._mine, self._total = ranks.classes(data.num_classes), data.num_classes
        K, C, D = len(members), len(self._mine), data.dim
        sizes = [C * D, C, *([D, D] if affine else [])]
        values_KP = torch.zeros((K, sum(sizes)), device=data.device)
        weight, bias, *scale_and_shift = torch.split(values_KP, sizes, 1)
        self.weight_KCD, self.bias_KC = weight.view(K, C, D), bias
        self.gain_KD: Tensor | None = None
        self.shift_KD: Tensor | None = None
        if affine:
            self.gain_KD, self.shift_KD = scale_and_shift
            self.gain_KD.fill_(1)
        self.sgd = Sgd(values_KP, members, free=2 * D if affine and not decay_affine else 0)
        self.shared: int | None = self._total
        """The classes of all ranks, whose logits they may share out."""
        self.loss_K = torch.zeros(K, dtype=torch.float64, device=data.device)
        """Of the epoch so far, summed over this rank's rows."""
        own = slice(self._mine.start, self._mine.stop)
        for weight, bias, (_, _, seed) in zip(self.weight_KCD, self.bias_KC, members, strict=True):
            if average:
                start, offset = averaged_head(data, average)
                weight.copy_(start[own])
                bias.copy_(offset[own])
            else:
                start = torch.randn(self._total, D, generator=torch.Generator().manual_seed(seed))
                weight.copy_(start[own] * START_STD)
        self._dtype = torch.bfloat16 if reduced else torch.float32
        self._product_KCD = torch.empty((K, C, D), dtype=self._dtype, device=data.device)
        """What `logits` multiplies by; then the gradient by it."""
        self._gradient_P, self._one_CD = torch.empty_like(values_KP[0]), torch.empty_like(self.weight_KCD[0])
        self._parts = torch.split(self._gradient_P, sizes)
        self._offset_KC = torch.empty((K, C), device=data.device)
        each = (self.weight_KCD, self.bias_KC, self._product_KCD, self._offset_KC, self.gain_KD, self.shift_KD)
        self._views = [_View(*views) for views in zip(*([None] * K if t is None else t for t in each), strict=True)]
        for view in self._views:
            self._fold(view)

    def _fold(self, view: "_View") -> None:
        """Scale and shift of a member move into what `logits` multiplies by and adds."""
        if view.gain is None or view.shift is None:
            view.product.copy_(view.weight)
            view.offset.copy_(view.bias)
            return
        view.product.copy_(torch.mul(view.weight, view.gain, out=self._one_CD))
        torch.addmv(view.bias, view.weight, view.shift, out=view.offset)

    def inputs(self, x_BD: Tensor) -> Tensor:
        return x_BD.to(self._dtype)

    def plain(self) -> tuple[Tensor, Tensor]:
        """Weights (K, C, D) and biases (K, C) of all classes with scale and shift folded in; copies."""
        weight, bias = self.weight_KCD.clone(), self.bias_KC.clone()
        if self.gain_KD is not None and self.shift_KD is not None:
            bias = torch.baddbmm(bias[..., None], weight, self.shift_KD[..., None])[..., 0]
            weight.mul_(self.gain_KD[:, None])
        if not ranks.classes_shared():
            return weight, bias
        both = [ranks.gather_classes(t.movedim(0, 1).contiguous(), self._total).movedim(1, 0) for t in (weight, bias)]
        return both[0], both[1]

    def logits(self, x_BD: Tensor) -> Tensor:
        """(B, D) as `inputs` gave it -> (B, K, C) float32."""
        K, C, D = self.weight_KCD.shape
        product = torch.mm(x_BD, self._product_KCD.view(K * C, D).T)
        return product.float().add_(self._offset_KC.view(-1)).view(-1, K, C)

    def step(self, residual: Tensor, x_BD: Tensor, factor: float) -> None:
        """Residual (B, K * C): derivative of the batch's mean loss by the logits."""
        K, C, D = self.weight_KCD.shape
        product = torch.mm(residual.to(self._dtype).T, x_BD, out=self._product_KCD.view(K * C, D))
        by_product = (ranks.add(product.float()) if ranks.count() > 1 else product).view(K, C, D)
        by_bias = ranks.add(residual.sum(0)).view(K, C)
        weight, bias, *scale_and_shift = self._parts
        for k, view in enumerate(self._views):
            by_CD = weight.view(C, D).copy_(by_product[k])
            by_C = bias.copy_(by_bias[k])
            if view.gain is not None and view.shift is not None:
                by_gain, by_shift = scale_and_shift
                torch.sum(torch.mul(view.weight, by_CD, out=self._one_CD), 0, out=by_gain)
                torch.mv(view.weight.T, by_C, out=by_shift)
                ranks.add_classes(self._gradient_P[-2 * D :])
                by_CD.mul_(view.gain).addr_(by_C, view.shift)
            self.sgd.step(k, self._gradient_P, factor)
            self._fold(view)


class WideCosine:
    """K cosine heads: scale * g_c <x / (|x| + 1e-5), v_c / |v_c|>, g (C,) and v (C, D) learned. Source: distLinear."""

    def __init__(self, data: Data, members: Sequence[Member], scale: float) -> None:
        C, D = data.num_classes, data.dim
        bound = D**-0.5  # torch.nn.Linear's start
        starts = [(torch.rand(C, D, generator=torch.Generator().manual_seed(s)) * 2 - 1) * bound for *_, s in members]
        values_KP = torch.empty((len(members), C * D + C), device=data.device)
        self.v_KCD, self.g_KC = values_KP[:, : C * D].view(-1, C, D), values_KP[:, C * D :]
        self.v_KCD.copy_(torch.stack(starts))
        self.g_KC.copy_(torch.linalg.vector_norm(self.v_KCD, dim=2))
        self.scale = scale
        self.sgd = Sgd(values_KP, members)
        self.shared: int | None = None
        self.loss_K = torch.zeros(len(members), dtype=torch.float64, device=data.device)

    def inputs(self, x_BD: Tensor) -> Tensor:
        unit_BD: Tensor = x_BD / (torch.linalg.vector_norm(x_BD, dim=1, keepdim=True) + 1e-5)
        return unit_BD

    def plain(self) -> Tensor:
        """(K, C, D): g v / |v|, without the scale."""
        norm_KC = torch.linalg.vector_norm(self.v_KCD, dim=2).clamp_min(1e-12)
        weight_KCD: Tensor = self.v_KCD * (self.g_KC / norm_KC)[..., None]
        return weight_KCD

    def logits(self, x_BD: Tensor) -> Tensor:
        K, C, D = self.v_KCD.shape
        logits: Tensor = x_BD @ self.plain().view(K * C, D).T
        return logits.mul_(self.scale).view(-1, K, C)

    def step(self, residual: Tensor, x_BD: Tensor, factor: float) -> None:
        by_weight = ranks.add(residual.T @ x_BD).view(self.v_KCD.shape).mul_(self.scale)
        norm_KC = torch.linalg.vector_norm(self.v_KCD, dim=2).clamp_min(1e-12)
        unit_KCD = self.v_KCD / norm_KC[..., None]
        by_g = (by_weight * unit_KCD).sum(2)
        by_v = (by_weight - unit_KCD * by_g[..., None]) * (self.g_KC / norm_KC)[..., None]
        for k in range(len(by_v)):
            self.sgd.step(k, torch.cat([by_v[k].flatten(), by_g[k]]), factor)


def averaged_head(data: Data, heads: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """Weight [W_1 | ... | W_n] / n and bias the mean of b_i: the logits are the mean of the n heads' logits.

    Args:
        heads: store.heads.StoredHead on each block's columns as stored, in the order of the blocks.
    Raises: BadValue: shapes do not fit. Source: cat_weights, RRL src/models.py.
    """
    widths = [high - low for low, high in data.prepare.columns]
    shapes = [tuple(head.weight.shape) for head in heads]
    if shapes != [(data.num_classes, width) for width in widths]:
        raise BadValue(
            f"the heads to average have shapes {shapes}; the blocks have {widths} columns, {data.num_classes} classes"
        )
    raw = torch.cat([torch.from_numpy(head.weight) for head in heads], 1).to(data.device) / len(heads)
    bias = torch.stack([torch.from_numpy(head.bias) for head in heads]).mean(0).to(data.device)
    return data.prepare.unfold(raw, bias)
