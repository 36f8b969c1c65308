"""K heads as the rows of one matrix: logits in one product, gradients in another, and SGD on all at once."""

from collections.abc import Sequence
from typing import Any

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
    """torch.optim.SGD(nesterov=True) on tensors whose first axis is the member, with each member's own settings."""

    def __init__(self, parameters: Sequence[Tensor], members: Sequence[tuple[float, float]]) -> None:
        """members: (lr, weight decay) of each."""
        self.parameters = list(parameters)
        self.lr = [lr for lr, _ in members]
        groups = [
            {"params": [p[k] for p in self.parameters], "lr": lr, "weight_decay": decay}
            for k, (lr, decay) in enumerate(members)
        ]
        self.optimizer = torch.optim.SGD(groups, lr=0.0, momentum=MOMENTUM, nesterov=True, fused=True)

    def step(self, gradients: Sequence[Tensor], factor: float) -> None:
        """Gradients (K, ...) are of the mean loss, summed over ranks; factor: of every learning rate."""
        for k, group in enumerate(self.optimizer.param_groups):
            group["lr"] = self.lr[k] * factor
            for p, g in zip(group["params"], gradients, strict=True):
                p.grad = g[k]
        self.optimizer.step()


class WideLinear:
    """K linear heads, with BatchNorm's scale and shift in front of each where `affine`."""

    def __init__(self, data: Data, members: Sequence[Member], *, affine: bool, average: Sequence[Any] = ()) -> None:
        K, C, D = len(members), data.num_classes, data.dim
        self.weight_KCD = torch.empty((K, C, D), device=data.device)
        self.bias_KC = torch.zeros((K, C), device=data.device)
        for weight, bias, (_, _, seed) in zip(self.weight_KCD, self.bias_KC, members, strict=True):
            if average:
                averaged_head(data, average, weight, bias)
            else:
                weight.copy_(torch.randn(C, D, generator=torch.Generator().manual_seed(seed)) * START_STD)
        self.gain_KD = torch.ones((K, D), device=data.device) if affine else None
        self.shift_KD = torch.zeros((K, D), device=data.device) if affine else None
        extra = [self.gain_KD, self.shift_KD] if self.gain_KD is not None and self.shift_KD is not None else []
        self.sgd = Sgd([self.weight_KCD, self.bias_KC, *extra], [member[:2] for member in members])

    def inputs(self, x_BD: Tensor) -> Tensor:
        return x_BD

    def plain(self) -> tuple[Tensor, Tensor]:
        """Weights (K, C, D) and biases (K, C) with scale and shift folded in."""
        if self.gain_KD is None or self.shift_KD is None:
            return self.weight_KCD, self.bias_KC
        bias = torch.baddbmm(self.bias_KC[..., None], self.weight_KCD, self.shift_KD[..., None])[..., 0]
        return self.weight_KCD * self.gain_KD[:, None], bias

    def logits(self, x_BD: Tensor) -> Tensor:
        """(B, D) -> (B, K * C)."""
        weight, bias = self.plain()
        return torch.addmm(bias.view(-1), x_BD, weight.view(-1, x_BD.shape[1]).T)

    def step(self, residual: Tensor, x_BD: Tensor, factor: float) -> None:
        """Residual (B, K * C): derivative of the batch's mean loss by the logits."""
        K, C, D = self.weight_KCD.shape
        by_weight = ranks.add(residual.T @ x_BD).view(K, C, D)
        by_bias = ranks.add(residual.sum(0)).view(K, C)
        gradients = [by_weight, by_bias]
        if self.gain_KD is not None and self.shift_KD is not None:
            pairs = zip(self.weight_KCD, by_weight, strict=True)
            by_gain = torch.stack([(w * g).sum(0) for w, g in pairs])  # one by one they stay in the cache
            by_shift = torch.bmm(by_bias[:, None], self.weight_KCD)[:, 0]
            by_weight.mul_(self.gain_KD[:, None]).baddbmm_(by_bias[..., None], self.shift_KD[:, None])
            gradients += [by_gain, by_shift]
        self.sgd.step(gradients, factor)


class WideCosine:
    """K cosine heads: scale * g_c <x / (|x| + 1e-5), v_c / |v_c|>, g (C,) and v (C, D) learned. Source: distLinear."""

    def __init__(self, data: Data, members: Sequence[Member], scale: float) -> None:
        C, D = data.num_classes, data.dim
        bound = D**-0.5  # torch.nn.Linear's start
        starts = [(torch.rand(C, D, generator=torch.Generator().manual_seed(s)) * 2 - 1) * bound for *_, s in members]
        self.v_KCD: Tensor = torch.stack(starts).to(data.device)
        self.g_KC: Tensor = torch.linalg.vector_norm(self.v_KCD, dim=2)
        self.scale = scale
        self.sgd = Sgd([self.v_KCD, self.g_KC], [member[:2] for member in members])

    def inputs(self, x_BD: Tensor) -> Tensor:
        unit_BD: Tensor = x_BD / (torch.linalg.vector_norm(x_BD, dim=1, keepdim=True) + 1e-5)
        return unit_BD

    def plain(self) -> Tensor:
        """(K, C, D): g v / |v|, without the scale."""
        norm_KC = torch.linalg.vector_norm(self.v_KCD, dim=2).clamp_min(1e-12)
        weight_KCD: Tensor = self.v_KCD * (self.g_KC / norm_KC)[..., None]
        return weight_KCD

    def logits(self, x_BD: Tensor) -> Tensor:
        logits: Tensor = x_BD @ self.plain().view(-1, x_BD.shape[1]).T
        return logits.mul_(self.scale)

    def step(self, residual: Tensor, x_BD: Tensor, factor: float) -> None:
        by_weight = ranks.add(residual.T @ x_BD).view(self.v_KCD.shape).mul_(self.scale)
        norm_KC = torch.linalg.vector_norm(self.v_KCD, dim=2).clamp_min(1e-12)
        unit_KCD = self.v_KCD / norm_KC[..., None]
        by_g = (by_weight * unit_KCD).sum(2)
        by_v = (by_weight - unit_KCD * by_g[..., None]) * (self.g_KC / norm_KC)[..., None]
        self.sgd.step([by_v, by_g], factor)


def averaged_head(data: Data, heads: Sequence[Any], weight_CD: Tensor, bias_C: Tensor) -> None:
    """Start from [W_1 | ... | W_n] / n and the mean of b_i: the logits are the mean of the n heads' logits.

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
    unfolded_weight, unfolded_bias = data.prepare.unfold(raw, bias)
    weight_CD.copy_(unfolded_weight)
    bias_C.copy_(unfolded_bias)
