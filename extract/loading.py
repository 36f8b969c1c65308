"""From a backbone's name to a network that is ready to extract with."""

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from extract.backbone import Backbone
from extract.backbones import find_backbone
from extract.checkpoints.containers import open_container
from extract.checkpoints.layouts import LAYOUTS
from extract.checkpoints.parts import Parts, check, flat
from extract.images.recipes import RECIPES, Recipe
from extract.models.architectures import find_architecture
from extract.models.foreign import Foreign, build_foreign, measure_dim
from extract.models.joint import SideBySide
from extract.models.untrained import fill_untrained
from extract.weights.table import Weights, find_weights, sha256_file, verify_file
from store.errors import BadValue


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A network and everything about it that decides its features."""

    name: str
    filled: Callable[[], nn.Module]
    """What `net` comes from when it is first asked for: a set that is complete needs only the rest."""
    dim: int
    weights_sha256: str
    """Of the file; where there is none, of the parameters in order of their names."""
    architecture: str
    recipe: Recipe
    stated: bool = True
    """Whether the recipe is what the network itself says; else it is a guess."""
    num_bytes: int = 0
    """Of its parameters and buffers, once they are in memory."""

    @cached_property
    def net(self) -> nn.Module:
        """Eval mode, no gradients: (B, 3, H, W) normalised float32 -> (B, dim) float32."""
        net = self.filled().eval()
        for parameter in net.parameters():  # ScriptModules have no requires_grad_
            parameter.requires_grad_(False)
        return net


def load(
    name: str, weights: str | None = None, weights_root: str | None = None, backbones: str | None = None
) -> Loaded:
    """Build the backbone `name` and fill it from `weights`, or from where its weights lie below `weights_root`.

    What was trained here lies below `backbones`: extract/trained.py.

    Memory: one copy of the weights; the file is read tensor by tensor, into the network.
    Raises: UnknownName; BadValue: no weights, weights that do not fit, a hostile or damaged file.
    """
    backbone = find_backbone(name, backbones)
    built = build(backbone, given=weights is not None)
    if weights is not None and built.weights is None:
        raise BadValue(f"{name} has no weights to load: --weights {weights} cannot be used with it")
    filled: Callable[[], nn.Module]
    if built.weights is not None:
        path, sha256 = _verified(backbone.name, built.weights, weights, weights_root)
        filled = partial(_fill, built.net, _parts(path, backbone.name, built.weights, built.net))
    else:
        if find_architecture(backbone.arch):
            fill_untrained(built.net)
        sha256, filled = sha256_parameters(built.net), lambda: built.net
    return Loaded(
        name=backbone.name,
        filled=filled,
        dim=backbone.dim or measure_dim(backbone.name, filled().eval(), built.recipe),
        weights_sha256=sha256,
        architecture=built.architecture,
        recipe=built.recipe,
        stated=built.stated,
        num_bytes=sum(value.numel() * value.element_size() for value in tensors_of(built.net).values()),
    )


def load_head(
    name: str, weights: str | None = None, weights_root: str | None = None, backbones: str | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """The classifier in a backbone's weights: weight (C, D) and bias (C,) or None, float32.

    Raises: BadValue: these weights hold no classifier.
    """
    backbone = find_backbone(name, backbones)
    if backbone.head is not None and weights is None:
        file = Path(backbone.head)
        if not file.is_file():
            raise BadValue(f"{file} is missing: restore it, or remove {file.parent} and train {name} again")
        verify_file(
            f"the head of {name}", file, backbone.head_sha256, "restore it, or remove its folder and train again"
        )
        parts = flat(open_container(file))
        bias = parts.get("bias")
        return parts["weight"].read().float().numpy(), None if bias is None else bias.read().float().numpy()
    built = build(backbone, given=True)
    if built.weights is None:
        raise BadValue(
            f"{name} has no file of weights, so no classifier; `python -m probe --features {name} --dataset NAME` "
            "trains one (distill: --teacher-heads ID), and distill --loss features needs none"
        )
    path, _ = _verified(backbone.name, built.weights, weights, weights_root)
    head = _parts(path, backbone.name, built.weights, built.net).head
    if head is None:
        raise BadValue(f"{path}: these weights hold no classifier; use those of a supervised or fine-tuned backbone")
    w, b = head
    return w.read().float().numpy(), None if b is None else b.read().float().numpy()


def build(backbone: Backbone, *, given: bool) -> Foreign:
    """The network, on the meta device where it is one of ours: it takes no memory until it is filled."""
    if find_architecture(backbone.arch) is None and "+" not in backbone.arch:
        found = build_foreign(backbone.arch, given=given or backbone.weights is not None)
    else:
        with torch.device("meta"):
            found = Foreign(build_network(backbone.arch), RECIPES["imagenet_224"], None, backbone.arch)
    recipe = RECIPES.get(backbone.recipe, found.recipe) if isinstance(backbone.recipe, str) else backbone.recipe
    return found._replace(recipe=recipe, weights=backbone.weights or found.weights)


def build_network(arch: str) -> nn.Module:
    """A network with the values that it starts training from, drawn from torch's generator, without its head.

    Args:
        arch: a row of extract/models, `torchvision:NAME` or `timm:NAME`; several by + are side by side.
    """
    if "+" in arch:
        return SideBySide([build_network(part) for part in arch.split("+")])
    row = find_architecture(arch)
    if row is None:
        return build_foreign(arch, given=True).net
    module, _, function = row.build.partition(":")
    net: nn.Module = getattr(importlib.import_module(f"extract.models.{module}"), function)(**row.options)
    return net


def _verified(name: str, known: Weights, file: str | None, root: str | None) -> tuple[Path, str]:
    """The file of the weights and its sha256, which must be the known one unless the user gave the file."""
    path = find_weights(name, known, file, root)
    mend = "" if known.source else "restore it, or pass it as --weights FILE"
    return path, sha256_file(path) if file is not None else verify_file(name, path, known.sha256, mend)


def check_file(name: str, weights: Weights, path: Path) -> None:
    """Raise BadValue unless `path` holds weights that fit the backbone `name`. Reads names and shapes alone."""
    _parts(path, name, weights, build(find_backbone(name), given=True).net)


def _parts(path: Path, name: str, weights: Weights, net: nn.Module) -> Parts:
    shapes = {key: tuple(value.shape) for key, value in tensors_of(net).items()}
    tree = open_container(path)
    # what torch.save(net.state_dict()) wrote is read back for every backbone
    layout = "own_names" if isinstance(tree, dict) and tree.keys() == shapes.keys() else weights.layout
    parts = LAYOUTS[layout](path, tree, shapes, weights.head)
    check(path, name, parts, shapes)
    return parts


def _fill(net: nn.Module, parts: Parts) -> nn.Module:
    """Give the network its values, one tensor at a time; all of its memory is taken first, so that none is torn."""
    if any(value.is_meta for value in tensors_of(net).values()):
        net.to_empty(device="cpu")
    for key, value in tensors_of(net).items():
        if key in parts.backbone:
            found = parts.backbone[key].read()
            if found.is_complex() or (value.is_floating_point() and not found.is_floating_point()):
                raise BadValue(
                    f"the weights have {key} as {str(found.dtype).removeprefix('torch.')}, the network needs "
                    f"{str(value.dtype).removeprefix('torch.')}: convert it, or fetch the file again"
                )
            value.copy_(found)
        else:  # num_batches_tracked, which torch before 0.4.1 did not have
            value.zero_()
    return net


def tensors_of(net: nn.Module) -> dict[str, torch.Tensor]:
    """Its state without what modules of other people add to it that is no tensor."""
    return {key: value for key, value in net.state_dict().items() if isinstance(value, torch.Tensor)}


def sha256_parameters(net: nn.Module) -> str:
    """Of names, shapes and values, in order of the names. Raises `BadValue`: some have no values."""
    digest = hashlib.sha256()
    for key, value in sorted(tensors_of(net).items()):
        if value.is_meta:
            raise BadValue(f"{key} of the network has no values (it is on the meta device): pass --weights FILE")
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
