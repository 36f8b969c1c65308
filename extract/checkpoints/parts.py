"""From what a file of weights holds to the parameters of our networks: one function a layout, strict.

Every key of the file must be used, or be one that the layout knows to be of no use here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from extract.checkpoints.stored import StoredTensor
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


@dataclass(frozen=True, kw_only=True)
class Naming:
    """How a family of checkpoints names what torchvision names otherwise."""

    below: tuple[str, ...] = ()
    """Dicts on the way to the state dict, where the file has them."""
    prefixes: tuple[str, ...] = ("module.", "")
    """In front of the backbone's names; the first of those that explain the most keys."""
    rename: tuple[tuple[str, str], ...] = ()
    """Regular expressions and their replacements, applied in this order to what follows the prefix."""
    heads: tuple[tuple[str, str], ...] = ()
    """Names of the classifier's weight and bias; the first that the file has."""
    ignore: str = r"(?!)"
    """What may be left over: heads of pretraining, classifiers, doubles."""
    alone: str = r"(?!)"
    """What must not be left over beside a classifier: then it is more than its weight and bias, and is not given."""


def read_named(path: Path, tree: Any, shapes: Shapes, naming: Naming) -> Parts:
    """The parts of a checkpoint whose tensors differ from ours by their names alone."""
    for key in naming.below:
        if isinstance(tree, dict) and isinstance(tree.get(key), dict):
            tree = tree[key]
    tensors = flat(tree)
    if not tensors:
        raise BadValue(f"{path}: it holds no tensors by name; torch.save(net.state_dict(), FILE) writes such a file")

    def ours(prefix: str) -> dict[str, str]:
        found = {}
        for key in tensors:
            if key.startswith(prefix):
                name = key.removeprefix(prefix)
                for pattern, replacement in naming.rename:
                    name = re.sub(pattern, replacement, name)
                if name in shapes:
                    found[name] = key
        return found

    names = max((ours(prefix) for prefix in naming.prefixes), key=len)
    head = next(((w, b) for w, b in naming.heads if w in tensors), None)
    used = {*names.values(), *(head or ())}
    if any(key not in used and re.match(naming.alone, key) for key in tensors):
        head = None
    unknown = tuple(key for key in tensors if key not in used and not re.match(naming.ignore, key))
    lazy = {key: Lazy(value.shape, value.read) for key, value in tensors.items()}
    backbone = {name: lazy[key] for name, key in names.items()}
    return Parts(backbone, None if head is None else (lazy[head[0]], lazy.get(head[1])), unknown)


def flat(tree: Any, prefix: str = "") -> dict[str, StoredTensor]:
    """Tensors by their path, dicts joined by dots; whatever else lies between them is of no use."""
    found: dict[str, StoredTensor] = {}
    for key, value in tree.items() if isinstance(tree, dict) else ():
        if isinstance(value, StoredTensor):
            found[f"{prefix}{key}"] = value
        elif isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
    return found


def check(path: Path, name: str, parts: Parts, shapes: Shapes) -> None:
    """Raise unless the checkpoint has every parameter of the network, in its shape, and nothing unexplained."""
    # torch before 0.4.1 did not count batches, and evaluation does not ask
    missing = [key for key in shapes if key not in parts.backbone and not key.endswith("num_batches_tracked")]
    wrong = [
        f"{key} is {list(parts.backbone[key].shape)}, needs {list(shape)}"
        for key, shape in shapes.items()
        if key in parts.backbone and parts.backbone[key].shape != tuple(shape)
    ]
    found = [
        f"{len(keys)} {what}: {', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}"
        for what, keys in (
            (f"of its {len(shapes)} parameters are missing", missing),
            ("have another shape", wrong),
            ("keys of the file are unknown", parts.unknown),
        )
        if keys
    ]
    if found:
        how = ""
        if missing and parts.unknown:
            how = ". What fits has the network's own names, below any one prefix: torch.save(net.state_dict(), FILE)"
        raise BadValue(f"{path} does not fit {name}: {'; '.join(found)}{how}")
