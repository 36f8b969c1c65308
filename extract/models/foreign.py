"""Networks that are not in our tables: torchvision's, timm's, and the user's own `module:function`."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from extract.images.recipes import RECIPES, Recipe
from extract.images.transforms import input_size
from extract.models.from_timm import build_timm
from extract.models.own import build_own, running
from extract.weights.table import Weights
from store.errors import BadValue, UnknownName


class Foreign(NamedTuple):
    """A network without its head."""

    net: nn.Module
    recipe: Recipe
    weights: Weights | None
    """Where its values come from; None: `net` has them already."""
    architecture: str
    stated: bool = True
    """Whether the network says how its images are prepared."""


def build_foreign(arch: str, *, given: bool) -> Foreign:
    """`arch` is `torchvision:NAME`, `timm:NAME`, `module:function` or `FOLDER/module:function`.

    Args:
        given: the caller has a file of weights; else timm fetches its own, and one's own network keeps what it has.
    """
    family, _, name = arch.partition(":")
    if family == "torchvision":
        return _torchvision(arch, name)
    if family == "timm":
        return _timm(arch, name, given=given)
    return _own(arch, given=given)


def measure_dim(name: str, net: nn.Module, recipe: Recipe) -> int:
    """D, from one forward pass of a black image."""
    size = input_size(recipe) or (224, 224)
    with torch.inference_mode(), running(f"{name}, given zeros of (1, 3, {size[0]}, {size[1]})"):
        feature = net(torch.zeros(1, 3, *size))
    if not isinstance(feature, torch.Tensor) or feature.ndim != 2:
        shape = list(feature.shape) if isinstance(feature, torch.Tensor) else type(feature).__name__
        raise BadValue(f"{name} gives {shape} for one image, a backbone gives (1, D): pool and flatten its output")
    return feature.shape[1]


def _torchvision(arch: str, name: str) -> Foreign:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UnknownName(
            "torchvision model", name, known, "python -c 'import torchvision; print(torchvision.models.list_models())'"
        )
    published: Any = models.get_model_weights(name).DEFAULT
    options: dict[str, Any] = {}  # what torchvision itself sets for pretrained weights
    if name in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "transform_input": True, "init_weights": False}
    if name.startswith("vit_"):
        options = {"image_size": published.meta["min_size"][0]}
    net = models.get_model(name, weights=None, **options)
    head = _drop_last_linear(arch, net)
    eval_crop = published.transforms()
    recipe = Recipe(
        resize=eval_crop.resize_size[0],
        crop=eval_crop.crop_size[0],
        interpolation=eval_crop.interpolation.value,
        mean=tuple(eval_crop.mean),
        std=tuple(eval_crop.std),
    )
    file = published.url.rpartition("/")[2]
    weights = Weights(
        layout="own_names",
        path=f"torchvision/{file}",
        also=(str(Path(torch.hub.get_dir()) / "checkpoints" / file),),
        sha256=file.rpartition("-")[2].partition(".")[0],  # its beginning is in the name
        url=published.url,
        licence="BSD-3-Clause",
        head=head,
    )
    return Foreign(net, recipe, weights, arch)


def _drop_last_linear(arch: str, net: nn.Module) -> str:
    """Replace the classifier's last layer by the identity; its name."""
    linears: list[str] = [name for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    if not linears:
        raise BadValue(
            f"{arch} ends in no linear layer, so where its features are is unclear: "
            "wrap it in a function of yours and name it as module:function"
        )
    parent, _, child = linears[-1].rpartition(".")
    setattr(net.get_submodule(parent), child, nn.Identity())
    return linears[-1]


def _timm(arch: str, name: str, *, given: bool) -> Foreign:
    net, recipe, heads = build_timm(arch, name, given=given)
    return Foreign(net, recipe, Weights(layout="own_names", path="", head=heads) if given else None, arch)


def _own(arch: str, *, given: bool) -> Foreign:
    net, architecture = build_own(arch)
    said = getattr(net, "recipe", None)
    recipe = said or "imagenet_224"
    if not isinstance(recipe, Recipe):
        if recipe not in RECIPES:
            name = architecture.partition(" ")[0]
            raise UnknownName(
                "recipe", str(recipe), RECIPES, f"{name}().recipe names a row of extract/images/recipes.py"
            )
        recipe = RECIPES[recipe]
    weights = Weights(layout="own_names", path="") if given else None
    return Foreign(net, recipe, weights, architecture, stated=bool(said))
