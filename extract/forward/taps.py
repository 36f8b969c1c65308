"""Features from inside a network: `NAME:LAYER`, `NAME:LAYER:POOLING`, `NAME:POOLING`, several of them in one pass.

Without either, the feature is the network's own: what goes into its head.
"""

from dataclasses import dataclass

from extract.backbones import find_backbone
from store.errors import BadValue, UnknownName

POOLINGS = ("mean", "max", "cls")
"""Over the places of a map, (B, C, H, W) or (B, H, W, C), or the patches of a sequence (B, T, C); `cls`: its first."""
_PREFIXES = ("random", "torchvision", "timm")


@dataclass(frozen=True)
class Tap:
    """Where in a network a feature is taken; the defaults are the network's own output."""

    layer: str = "features"
    """A module's name; empty: the last one that gives a map or a sequence."""
    pooling: str = "avg"
    """The network's own, or one of POOLINGS."""
    channels_last: bool = False
    """The layer gives a map (B, H, W, C), as Swin's do: found out by tapped.resolve."""

    @property
    def pools(self) -> str:
        """What is pooled how, for the fingerprint."""
        return f"{self.pooling} of (B, H, W, C)" if self.channels_last else self.pooling


OWN = Tap()


def split_name(name: str, backbones: str | None = None) -> tuple[str, Tap]:
    """The backbone's name and where in it; what was trained here lies below `backbones`.

    Raises `UnknownName`, `BadValue`: too many parts, or no such pooling.
    """
    parts = name.split(":")
    count = 1 if len(parts) > 1 and parts[0] not in _PREFIXES and _known(parts[0], backbones) else 2
    base, rest = ":".join(parts[:count]), parts[count:]
    find_backbone(base, backbones)
    if not rest:
        return base, OWN
    if len(rest) == 1 and rest[0] in POOLINGS:
        return base, Tap("", rest[0])
    layer, pooling = rest[0], (rest[1] if len(rest) == 2 else POOLINGS[0])
    if len(rest) > 2 or not layer:
        raise BadValue(f"backbone {name!r}: write {base}:LAYER, {base}:LAYER:POOLING or {base}:POOLING")
    if pooling not in POOLINGS:
        raise UnknownName("pooling", pooling, POOLINGS, f"as in {base}:{layer}:mean")
    return base, Tap(layer, pooling)


def _known(name: str, backbones: str | None) -> bool:
    try:
        find_backbone(name, backbones)
    except UnknownName:
        return False
    return True
