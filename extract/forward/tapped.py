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
        def pool_output(_module: nn.Module, _inputs: Any, output: Any) -> None:
            # at once: a later layer may work in place
            self._found[tap] = pool(output, tap, num_class_tokens(self.net))

        return pool_output


def pool(output: Any, tap: Tap, class_tokens: int) -> Tensor:
    """A layer's output -> (B, C) float32.

    Raises `BadValue`: it is no map, sequence or vector, or has no class token.
    """
    if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4):
        what = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise BadValue(f"layer {tap.layer!r} gives {what}: take one that gives (B, C), (B, T, C) or (B, C, H, W)")
    if tap.pooling == "cls" and (output.ndim != 3 or not class_tokens):
        raise BadValue(f"layer {tap.layer!r} gives {list(output.shape)} without a class token: pool by mean or max")
    if output.ndim == 2:
        return output.float()
    if tap.pooling == "cls":
        return output[:, 0].float()
    places_BCP = output.flatten(2) if output.ndim == 4 else output[:, class_tokens:].transpose(1, 2)
    return places_BCP.float().mean(2) if tap.pooling == "mean" else places_BCP.float().amax(2)


def num_class_tokens(net: nn.Module) -> int:
    """Tokens before those of the patches: timm says how many, torchvision's transformers have one."""
    told = getattr(net, "num_prefix_tokens", None)
    return int(told) if isinstance(told, int) else int(hasattr(net, "class_token"))


def resolve(name: str, net: nn.Module, taps: Sequence[Tap], size: tuple[int, int]) -> list[tuple[Tap, int]]:
    """Every tap with its layer's name filled in, and its D, from one pass; where the code is known, on the meta device.

    Raises: UnknownName: no such layer, or one that does not run. BadValue: a layer that cannot be pooled.
    """
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
        there = Tap(layer, tap.pooling)
        found.append((there, pool(outputs[layer], there, num_class_tokens(net)).shape[1]))
    return found


def _has_places(output: Any) -> bool:
    """Whether there is something to pool over."""
    if not isinstance(output, Tensor) or output.ndim not in (3, 4):
        return False
    return output.shape[1] > 1 if output.ndim == 3 else output.shape[2] * output.shape[3] > 1


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
