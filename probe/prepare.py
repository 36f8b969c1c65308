"""What happens to each block of columns before the head, fitted on the training rows and folded into a linear head."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from store.errors import BadFeatures, BadValue

FAR = 30.0
"""In standard deviations: a mean beyond it costs float32 products more than one digit and a half."""
Reduce = Callable[[Tensor], Tensor]
CONSTANT = 1e-6
"""A column whose standard deviation is below this part of its mean is constant: float32 noise is not signal."""


@dataclass(frozen=True)
class Step:
    """l2: x / |x|. scale: (x - mean) * scale. project: (x - mean) @ basis."""

    kind: str
    mean: Tensor | None = None
    """(d,) float32"""
    scale: Tensor | None = None
    """(d,) float32; 0 for a constant column, which then says nothing to the head"""
    basis: Tensor | None = None
    """(d, k) float32, orthonormal columns"""

    def __call__(self, x_Bd: Tensor) -> Tensor:
        if self.kind == "l2":
            return torch.nn.functional.normalize(x_Bd, dim=1)
        assert self.mean is not None
        if self.kind == "scale":
            assert self.scale is not None
            return (x_Bd - self.mean).mul_(self.scale)
        assert self.basis is not None
        return (x_Bd - self.mean) @ self.basis

    def to(self, device: torch.device) -> "Step":
        return Step(self.kind, *(None if t is None else t.to(device) for t in (self.mean, self.scale, self.basis)))


@dataclass(frozen=True)
class Affine:
    """(x - mean) * scale, both (D,) float32."""

    mean: Tensor
    scale: Tensor


class Prepare:
    """Steps for each block of columns; a function of raw rows (B, D) in any float dtype -> float32 (B, D')."""

    def __init__(self, widths: Sequence[int], steps: Sequence[Sequence[Step]]) -> None:
        edges = np.cumsum([0, *widths]).tolist()
        self.columns = list(pairwise(edges))
        self.steps = [list(block) for block in steps]
        self.widths = [
            self._width(block, high - low) for block, (low, high) in zip(self.steps, self.columns, strict=True)
        ]
        """Columns of each block after its steps."""
        self.dim = sum(self.widths)
        self.nothing = not any(self.steps)
        """Whether features are used as they are stored."""
        self._whole = self._as_one()

    @staticmethod
    def _width(block: Sequence[Step], width: int) -> int:
        projected = [step.basis.shape[1] for step in block if step.basis is not None]
        return projected[-1] if projected else width

    def _as_one(self) -> Affine | None:
        """All blocks standardised: one subtraction and one product over every column at once."""
        if not all(len(block) == 1 and block[0].kind == "scale" for block in self.steps):
            return None
        firsts = [block[0] for block in self.steps]
        means, scales = [step.mean for step in firsts], [step.scale for step in firsts]
        return Affine(torch.cat(means), torch.cat(scales))  # type: ignore[arg-type]

    @cached_property
    def moderate(self) -> Affine | None:
        """The one step of all blocks, where no column's mean is so far from 0 that products of the columns as they
        are stored would lose digits; None otherwise.
        """
        whole = self._whole
        return whole if whole is not None and float((whole.mean * whole.scale).abs().max()) <= FAR else None

    def __call__(self, x_BD: Tensor) -> Tensor:
        if self._whole is not None:
            x = x_BD.float()
            moved = x.sub(self._whole.mean) if x is x_BD else x.sub_(self._whole.mean)
            return moved.mul_(self._whole.scale)
        return torch.cat([self._block(x_BD, index) for index in range(len(self.steps))], dim=1)

    def _block(self, x_BD: Tensor, index: int) -> Tensor:
        low, high = self.columns[index]
        x = x_BD[:, low:high].float()
        for step in self.steps[index]:
            x = step(x)
        return x

    def to(self, device: torch.device) -> "Prepare":
        widths = [high - low for low, high in self.columns]
        return Prepare(widths, [[step.to(device) for step in block] for block in self.steps])

    def fold(self, weight_CD: Tensor, bias_C: Tensor) -> tuple[Tensor, Tensor, "Prepare"]:
        """The same head on rawer features: linear steps move into weight and bias; what comes before and with the
        last `l2` of a block stays, as the returned Prepare.
        """
        weight, bias = weight_CD.double(), bias_C.double()
        parts, left = [], []
        for w, steps in zip(torch.split(weight, self.widths, dim=1), self.steps, strict=True):
            rest = list(steps)
            while rest and rest[-1].kind != "l2":
                step = rest.pop()
                assert step.mean is not None
                w = w * step.scale.double() if step.scale is not None else w @ step.basis.double().T  # type: ignore[union-attr]  # noqa: PLW2901
                bias = bias - w @ step.mean.double()
            parts.append(w)
            left.append(rest)
        return torch.cat(parts, 1).float(), bias.float(), Prepare([high - low for low, high in self.columns], left)

    def unfold(self, weight_CD: Tensor, bias_C: Tensor) -> tuple[Tensor, Tensor]:
        """The inverse of `fold` for standardised blocks: a head on stored features as one on prepared features.

        Raises: BadValue: a block has other steps than `std` or none.
        """
        weights, bias = [], bias_C.double()
        for w, steps in zip(torch.split(weight_CD.double(), self.widths, dim=1), self.steps, strict=True):
            if [step.kind for step in steps] not in ([], ["scale"]):
                raise BadValue("to start from stored heads, blocks are standardised (the default) or :raw")
            if steps:
                assert steps[0].mean is not None
                assert steps[0].scale is not None
                bias = bias + w @ steps[0].mean.double()
                w = torch.where(steps[0].scale > 0, w / steps[0].scale, 0.0)  # noqa: PLW2901
            weights.append(w)
        return torch.cat(weights, 1).float(), bias.float()

    def state(self) -> tuple[list[list[str]], dict[str, np.ndarray]]:
        """Step names per block, and their arrays by `<block>.<step>.<field>`: what store/heads.py keeps."""
        arrays = {}
        for b, block in enumerate(self.steps):
            for s, step in enumerate(block):
                for name in ("mean", "scale", "basis"):
                    if (value := getattr(step, name)) is not None:
                        arrays[f"{b}.{s}.{name}"] = value.cpu().numpy()
        return [[step.kind for step in block] for block in self.steps], arrays

    @staticmethod
    def from_state(widths: Sequence[int], kinds: Sequence[Sequence[str]], arrays: Any) -> "Prepare":
        def step(b: int, s: int, kind: str) -> Step:
            found = [arrays.get(f"{b}.{s}.{name}") for name in ("mean", "scale", "basis")]
            return Step(kind, *(None if value is None else torch.from_numpy(np.array(value)) for value in found))

        return Prepare(widths, [[step(b, s, kind) for s, kind in enumerate(block)] for b, block in enumerate(kinds)])


class Sums:
    """Running count, mean, scatter of columns: diagonal, or full (d, d) for PCA. Sums in float64.

    Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (1983), equations 1.5.
    """

    def __init__(self, dim: int, device: torch.device, *, full: bool) -> None:
        self.full = full
        self.count = torch.zeros((), dtype=torch.float64, device=device)
        self.mean = torch.zeros(dim, dtype=torch.float64, device=device)
        self.scatter = torch.zeros((dim, dim) if full else (dim,), dtype=torch.float64, device=device)

    def update(self, x_BD: Tensor) -> None:
        count, mean = len(x_BD), x_BD.double().mean(0) if self.full else x_BD.mean(0, dtype=torch.float64)
        centred = x_BD - mean.float()
        offset = mean - mean.float().double()  # what rounding the mean to float32 left in `centred`
        shift, total = mean - self.mean, self.count + count
        if self.full:
            self.scatter += (centred.T @ centred).double() - count * torch.outer(offset, offset)
            self.scatter += torch.outer(shift, shift) * (self.count * count / total)
        else:
            self.scatter += centred.square().sum(0).double() - count * offset.square()
            self.scatter += shift.square() * (self.count * count / total)
        self.mean += shift * (count / total)
        self.count = total

    def merge(self, reduce: Reduce) -> None:
        """Add up over ranks."""
        local, count = self.mean.clone(), self.count.clone()
        self.count = reduce(self.count)
        self.mean = reduce(self.mean * count) / self.count
        shift = local - self.mean
        between = torch.outer(shift, shift) if self.full else shift.square()
        self.scatter = reduce(self.scatter + count * between)


def fit_prepare(
    widths: Sequence[int],
    names: Sequence[str],
    recipes: Sequence[Sequence[str]],
    chunks: Callable[[Prepare], Iterable[Tensor]],
    reduce: Reduce,
    device: torch.device,
) -> Prepare:
    """Fit every block's steps on the training rows; one pass over them for each step of the longest recipe.

    Args:
        widths: columns of each block; `names`: what to call it in an error; `recipes`: its steps.
        chunks: training rows prepared by the steps fitted so far, float32.
    Raises: BadFeatures: a feature is NaN or infinite. BadValue: more components than rows or columns.
    """
    fitted: list[list[Step]] = [[] for _ in widths]
    for depth in range(max(1, *map(len, recipes))):
        todo = [recipe[depth] if depth < len(recipe) else None for recipe in recipes]
        if depth and not any(step and step != "l2" for step in todo):
            _add_rows_steps(fitted, todo)
            continue
        so_far = Prepare(widths, fitted)
        ends = np.cumsum([0, *so_far.widths]).tolist()
        sums = [
            Sums(high - low, device, full=bool(step and step.startswith("pca")))
            for step, (low, high) in zip(todo, pairwise(ends), strict=True)
        ]
        for x_BD in chunks(so_far):
            for part, (low, high) in zip(sums, pairwise(ends), strict=True):
                part.update(x_BD[:, low:high].float())
        for index, (step, part) in enumerate(zip(todo, sums, strict=True)):
            part.merge(reduce)
            _check_finite(names[index], part)
            if step == "std":
                fitted[index].append(standardise(part))
            elif step and step.startswith("pca"):
                fitted[index].append(_principal(names[index], int(step[3:]), part))
        _add_rows_steps(fitted, [step if step == "l2" else None for step in todo])
    return Prepare(widths, fitted)


def _add_rows_steps(fitted: list[list[Step]], todo: Sequence[str | None]) -> None:
    for block, step in zip(fitted, todo, strict=True):
        if step == "l2":
            block.append(Step("l2"))


def _check_finite(name: str, sums: Sums) -> None:
    scatter = sums.scatter.diagonal() if sums.full else sums.scatter
    bad = ~torch.isfinite(sums.mean)
    if bad.any():
        raise BadFeatures(
            f"features {name}: {_columns(bad)} NaN or infinity. Run `python -m store verify`, or extract them again"
        )
    bad = ~torch.isfinite(scatter)
    if bad.any():
        raise BadFeatures(
            f"features {name}: {_columns(bad)} numbers beyond 1e16: the sum of their squares passes float32's 3.4e38. "
            "Extract them again, or divide and import them"
        )


def _columns(bad: Tensor) -> str:
    found = bad.nonzero().flatten().tolist()
    return f"column {found[0]} holds" if len(found) == 1 else f"{len(found)} columns hold, first column {found[0]},"


def standardise(sums: Sums) -> Step:
    std = (sums.scatter.clamp_min(0) / sums.count).sqrt()
    varies = std > CONSTANT * sums.mean.abs()
    scale = torch.where(varies, 1 / std, 0.0)
    return Step("scale", sums.mean.float(), scale.float())


def _principal(name: str, components: int, sums: Sums) -> Step:
    most = min(len(sums.mean), int(sums.count) - 1)
    if components > most:
        raise BadValue(
            f"features {name}:pca{components}: {int(sums.count)} training rows and {len(sums.mean)} columns "
            f"have at most {most} components"
        )
    _, vectors = torch.linalg.eigh(sums.scatter)
    return Step("project", sums.mean.float(), basis=vectors[:, -components:].flip(1).float().contiguous())
