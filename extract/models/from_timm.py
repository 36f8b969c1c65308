"""Networks of timm, with timm's own preprocessing, or refused by name where ours cannot be that."""

import math
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from torch import nn

from extract.images.recipes import Recipe
from store.errors import BadValue, UnknownName


def build_timm(arch: str, name: str, *, given: bool) -> tuple[nn.Module, Recipe, str]:
    """The network without its classifier, its evaluation recipe, and what its classifiers are called, by comma.

    Raises `UnknownName`; `BadValue`: no weights to be had, or a preprocessing that we do not have.
    """
    try:
        import timm
        from timm.data.config import resolve_data_config, resolve_model_data_config
        from timm.models import get_pretrained_cfg
    except ImportError as error:
        raise BadValue(f"{arch} needs timm: run  pip install timm") from error
    if not timm.is_model(name.partition(".")[0]):
        raise UnknownName("timm model", name, timm.list_models(), "python -c 'import timm; print(timm.list_models())'")
    try:
        known = get_pretrained_cfg(name)
    except RuntimeError as error:  # another tag than it has
        tags = timm.list_pretrained(f"{name.partition('.')[0]}.*")
        raise UnknownName("timm model", name, tags, f"there are: {', '.join(tags) or 'no weights of it'}") from error
    # before anything is fetched
    recipe_of(arch, resolve_data_config(pretrained_cfg=known.to_dict() if known else {}))  # type: ignore[no-untyped-call]
    if not given:
        _wait_for_no_hub()
    try:
        net = timm.create_model(name, pretrained=not given, num_classes=0)
    except (OSError, RuntimeError) as error:
        raise BadValue(
            f"{arch}: timm could not fetch its weights ({error}); fetch them elsewhere and pass --weights FILE"
        ) from error
    recipe = recipe_of(arch, resolve_model_data_config(net))  # type: ignore[no-untyped-call]
    return net, recipe, heads_of(vars(net)["pretrained_cfg"])


def recipe_of(arch: str, settings: Mapping[str, Any]) -> Recipe:
    """What timm.data.create_transform makes of `settings` for evaluation. Raises `BadValue`: ours cannot be that."""
    (channels, height, width), part, mode = settings["input_size"], settings["crop_pct"], settings["crop_mode"]
    scaled = math.floor(height / part), math.floor(width / part)
    if settings["interpolation"] not in ("bilinear", "bicubic"):
        raise BadValue(f"{arch} resizes by {settings['interpolation']}; bilinear and bicubic are supported")
    if channels != 3 or len(settings["mean"]) != 3:
        raise BadValue(f"{arch} takes images of {channels} channels; images have 3 here")
    if mode == "border":
        raise BadValue(
            f"{arch} pads images to a square with a border of their mean colour (crop_mode border), which is not "
            "supported; other networks: python -m extract --list"
        )
    if height != width and (mode != "squash" or scaled != (height, width)):
        raise BadValue(f"{arch} takes a crop of {height} x {width} pixels; crops are square here")
    return Recipe(
        resize=scaled if mode == "squash" else scaled[0],
        crop=height if height == width else None,
        interpolation=settings["interpolation"],
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
    )


def heads_of(settings: Mapping[str, Any]) -> str:
    """The names of a network's classifiers, by comma: distilled ones have two."""
    named = settings.get("classifier") or ()
    return named if isinstance(named, str) else ",".join(named)


def _wait_for_no_hub() -> None:
    """Where the hub's name does not resolve, let timm look into its cache alone: it would try again for a minute."""
    from huggingface_hub import constants

    try:
        if not getproxies():
            socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        constants.HF_HUB_OFFLINE = True
