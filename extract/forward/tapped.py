"""The module that runs a network once and gives the features of several taps, side by side."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from extract.forward.known import all_known
from extract.forward.taps import OWN, Tap
from store.errors import BadValue, UnknownName


class Tapped(nn.Module):
    """(B, 3, H, W) -> (B, sum of the taps' D). A layer that runs several times counts with its last output."""

    def __init__(self, net: nn.Module, taps: Sequence[Tap]) -> None:
        super().__init__()
        self.net, self.taps = net, tuple(taps)
        self._found: dict[Tap, Tensor] = {}
        self._hooks = [
            net.get_submodule(tap.layer).register_forward_hook(self._pooling_at(tap)) for tap in taps if tap != OWN
        ]

    def forward(self, x_B3HW: Tensor) -> Tensor:
        own_BD = self.net(x_B3HW)
        found = [own_BD if tap == OWN else self._found.pop(tap) for tap in self.taps]
        return found[0] if len(found) == 1 else torch.cat([x_BD.float() for x_BD in found], dim=1)

    def close(self) -> None:
        """Leave the network as it was."""
        for hook in self._hooks:
            hook.remove()

    def _pooling_at(self, tap: Tap) -> Callable[[nn.Module, Any, Any], None]:
        tokens, has_class = prefix_tokens(self.net, tap.layer)

        def pool_output(_module: nn.Module, _inputs: Any, output: Any) -> None:
            # at once: a later layer may work in place
            self._found[tap] = pool(output, tap, tokens, has_class=has_class)

        return pool_output


def pool(output: Any, tap: Tap, prefix: int, *, has_class: bool = True) -> Tensor:
    """A layer's output -> (B, C) float32.

    Args:
        prefix: tokens of a sequence that are no patches; `has_class`: the first of them is the class token.
    Raises `BadValue`: it is no map, sequence or vector, or has no class token.
    """
    if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4):
        what = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise BadValue(f"layer {tap.layer!r} gives {what}: take one that gives (B, C), (B, T, C) or (B, C, H, W)")
    if tap.pooling == "cls" and (output.ndim != 3 or not prefix or not has_class):
        raise BadValue(f"layer {tap.layer!r} gives {list(output.shape)} without a class token: pool by mean or max")
    if output.ndim == 2:
        return output.float()
    if tap.pooling == "cls":
        return output[:, 0].float()
    if output.ndim == 4 and not tap.channels_last:
        places_BCP = output.flatten(2)
    else:
        places_BCP = (output.flatten(1, 2) if output.ndim == 4 else output[:, prefix:]).transpose(1, 2)
    return places_BCP.float().mean(2) if tap.pooling == "mean" else places_BCP.float().amax(2)


def prefix_tokens(net: nn.Module, layer: str) -> tuple[int, bool]:
    """Tokens before those of the patches at a layer, and whether the first is a class token.

    The innermost module around the layer that knows: timm's say how many, torchvision's transformers have one.
    """
    for module in _around(net, layer):
        told = getattr(module, "num_prefix_tokens", None)
        if isinstance(told, int):
            return told, bool(getattr(module, "has_class_token", getattr(module, "cls_token", None) is not None))
        if hasattr(module, "class_token"):
            return 1, True
    return 0, False


def is_channels_last(net: nn.Module, layer: str, shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Whether a map of one image lies as (1, H, W, C): its places have the proportions of the image.

    Where all three sides fit, timm's networks say in which order they give their maps; the others begin with channels.
    Raises `BadValue`: no side can be told for the channels.
    """
    _, one, two, three = shape
    first, last = (abs(high - wide * size[0] / size[1]) < 1 for high, wide in ((two, three), (one, two)))
    if first and last:
        told = (str(getattr(module, "output_fmt", "")) for module in _around(net, layer))
        return next(filter(None, told), "").upper().endswith("NHWC")
    if not (first or last):
        raise BadValue(
            f"layer {layer!r} gives {list(shape)} for an image of {size[0]} x {size[1]} pixels, and which of these are "
            "its height and width cannot be told: take another layer"
        )
    return last


def _around(net: nn.Module, layer: str) -> list[nn.Module]:
    """The modules that a layer lies in, the innermost first."""
    names = layer.split(".")[:-1]
    return [net.get_submodule(".".join(names[:count])) for count in range(len(names), -1, -1)]


def resolve(name: str, net: nn.Module, taps: Sequence[Tap], size: tuple[int, int]) -> list[tuple[Tap, int]]:
    """Every tap with its layer's name filled in, and its D, from one pass; where the code is known, on the meta device.

    Raises: UnknownName: no such layer, or one that does not run. BadValue: a layer that cannot be pooled.
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in net.modules()):
        raise BadValue(f"{name}: a ScriptModule shows none of its layers: name it without a layer or pooling")
    outputs: dict[str, Any] = {}
    layers = {module: layer for layer, module in net.named_modules() if layer}

    def keep(module: nn.Module, _inputs: Any, output: Any) -> None:
        outputs.pop(layers[module], None)  # in the order in which they end
        outputs[layers[module]] = output

    hooks = [module.register_forward_hook(keep) for module in layers]
    try:
        own = _run(net, size)
    finally:
        for hook in hooks:
            hook.remove()
    found = []
    for tap in taps:
        if tap == OWN:
            found.append((tap, int(own.shape[1])))
            continue
        layer = tap.layer or next((layer for layer in reversed(outputs) if _has_places(outputs[layer])), "")
        if layer not in outputs:
            raise UnknownName("layer", tap.layer, outputs, f"of {name}; it has {', '.join(dict(net.named_children()))}")
        output, last = outputs[layer], False
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[0] == 1:
            last = is_channels_last(net, layer, tuple(output.shape), size)
        there = Tap(layer, tap.pooling, last)
        tokens, has_class = prefix_tokens(net, layer)
        pooled = pool(output, there, tokens, has_class=has_class)
        if pooled.shape[0] != 1:
            raise BadValue(f"layer {layer!r} gives {list(output.shape)} for one image: take one that keeps them apart")
        found.append((there, pooled.shape[1]))
    return found


def _has_places(output: Any) -> bool:
    """Whether there is something to pool over."""
    if not isinstance(output, Tensor) or output.ndim not in (3, 4) or output.shape[0] != 1:
        return False
    return output.shape[1] > 1 if output.ndim == 3 else sum(side > 1 for side in output.shape) > 1


@torch.inference_mode()
def _run(net: nn.Module, size: tuple[int, int]) -> Tensor:
    if not all_known(net):
        return net(torch.zeros((1, 3, *size)))  # type: ignore[no-any-return]
    state = {name: value.to("meta") for name, value in (*net.named_parameters(), *net.named_buffers())}
    try:
        own: Tensor = functional_call(net, state, torch.empty((1, 3, *size), device="meta"))
    except Exception:  # noqa: BLE001 - a forward that looks at its values: with them, then
        own = net(torch.zeros((1, 3, *size)))
    return own
