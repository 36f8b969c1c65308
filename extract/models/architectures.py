"""Architectures, one row each. The rows are data: importing this imports no torch."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from store.errors import BadValue


@dataclass(frozen=True, kw_only=True)
class Architecture:
    build: str
    """`module:function` below extract.models; (B, 3, H, W) normalised -> (B, dim)."""
    dim: int
    """D, the length of a feature."""
    recipe: str = "imagenet_224"
    """What its weights expect unless a backbone says otherwise: a row of extract/images/recipes.py."""
    options: dict[str, Any] = field(default_factory=dict)


def _resnet(
    block: str, layers: tuple[int, ...], dim: int, width: int = 1, recipe: str = "imagenet_224"
) -> Architecture:
    options = {"block": block, "layers": layers, "width": width}
    return Architecture(build="resnet:resnet", dim=dim, recipe=recipe, options=options)


def _joint(count: int) -> Architecture:
    options = {"count": count, "build": "resnet:resnet", "block": "bottleneck", "layers": (3, 4, 6, 3), "width": 1}
    return Architecture(build="joint:joint", dim=2048 * count, options=options)


def _regnet(dim: int, depth: int, w_0: int, w_a: float, w_m: float, group_width: int) -> Architecture:
    options = {"depth": depth, "w_0": w_0, "w_a": w_a, "w_m": w_m, "group_width": group_width}
    return Architecture(build="regnet:regnet_y", dim=dim, options=options)


def _vit(size: int, layers: int, heads: int, dim: int) -> Architecture:
    options = {"image_size": size, "layers": layers, "heads": heads, "dim": dim}
    return Architecture(build="vit:vit", dim=dim, recipe=f"vit_{size}", options=options)


def _lite(size: int, recipe: str) -> Architecture:
    return Architecture(build="efficientnet:lite", dim=1280, recipe=recipe, options={"size": size})


_SMALL = {"resnet10": (1, 1, 1, 1), "resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}

ARCHITECTURES: dict[str, Architecture] = {
    **{name: _resnet("basic", layers, 512, recipe="fewshot_224") for name, layers in _SMALL.items()},
    "resnet50": _resnet("bottleneck", (3, 4, 6, 3), 2048),
    **{f"resnet50w{width}": _resnet("bottleneck", (3, 4, 6, 3), 2048 * width, width) for width in (2, 4, 5)},
    "resnet152": _resnet("bottleneck", (3, 8, 36, 3), 2048),
    "2resnet50": _joint(2),
    "4resnet50": _joint(4),
    "regnety_32gf": _regnet(3712, depth=20, w_0=232, w_a=115.89, w_m=2.53, group_width=232),
    "regnety_64gf": _regnet(4920, depth=20, w_0=352, w_a=147.48, w_m=2.4, group_width=328),
    "regnety_128gf": _regnet(7392, depth=27, w_0=456, w_a=160.83, w_m=2.52, group_width=264),
    "regnety_256gf": _regnet(10444, depth=27, w_0=640, w_a=230.83, w_m=2.53, group_width=373),
    **{f"vit_b16_{size}": _vit(size, layers=12, heads=12, dim=768) for size in (224, 384)},
    **{f"vit_l16_{size}": _vit(size, layers=24, heads=16, dim=1024) for size in (224, 384)},
    "densenet121": Architecture(build="densenet:densenet", dim=1024, recipe="camelyon_96"),
    "conv4": Architecture(build="convnet:conv", dim=1600, recipe="fewshot_84", options={"blocks": 4, "width": 1}),
    "conv6": Architecture(build="convnet:conv", dim=1600, recipe="fewshot_84", options={"blocks": 6, "width": 1}),
    "efficientnet_lite0": _lite(0, "lite0_224"),
    "efficientnet_lite1": _lite(1, "lite1_240"),
    "efficientnet_lite2": _lite(2, "lite2_260"),
    "pixels": Architecture(build="pixels:flatten", dim=768, recipe="pixels_16"),
}


_SIZED = re.compile(r"(?P<count>[2-9]|[1-9]\d)?(?P<base>(?:resnet|conv)\d+)(?:w(?P<width>\d+(?:\.\d+)?))?")


def find_architecture(name: str) -> Architecture | None:
    """A row of the table, or one of its ResNets and Convs in another size: `resnet18w2` (every layer twice as wide),
    `conv4w0.25`, `5resnet18w0.5` (five of them side by side, to be trained jointly). None: no such architecture.

    Raises: BadValue: a width that leaves no whole number of filters.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    match = _SIZED.fullmatch(name)
    base = ARCHITECTURES.get(match["base"]) if match else None
    if match is None or base is None or "width" not in base.options:
        return None
    width, count = float(match["width"] or 1), int(match["count"] or 1)
    if not (64 * width).is_integer() or width <= 0:
        raise BadValue(f"architecture {name!r}: 64 x {width:g} filters; the width must make that a whole number")
    one = replace(base, dim=int(base.dim * width), options={**base.options, "width": width})
    if count == 1:
        return one
    options = {"count": count, "build": one.build, **one.options}
    return replace(one, build="joint:joint", dim=count * one.dim, options=options)
