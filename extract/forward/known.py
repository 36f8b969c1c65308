"""Which networks may be looked into: those whose code is torch's, torchvision's, timm's or ours.

A user's own forward may call anything: another runtime, for which symbolic values, tensors without memory or another
memory layout are a crash. It is run as it is, with real images, and never traced or changed.
"""

from contextlib import AbstractContextManager, nullcontext
from types import FunctionType, MethodType

import torch
from torch import nn

from extract.models.own import running

PACKAGES = ("torch", "torchvision", "timm", "extract")


def is_known(module: nn.Module) -> bool:
    """Whether this one module's own code is known; a ScriptModule brings code of its own.

    A user's may be a class that takes over a known one's forward and replaces what that calls, or a function in a
    known network's place.
    """
    if isinstance(module, torch.jit.ScriptModule):
        return False
    put = {name: value for name, value in vars(module).items() if isinstance(value, FunctionType | MethodType)}
    if "forward" in vars(module).keys() - put.keys():
        return False
    return all(map(_from_known, (type(module), type(module).forward, *put.values())))


def _from_known(thing: object) -> bool:
    return str(getattr(thing, "__module__", "")).partition(".")[0] in PACKAGES


def all_known(net: nn.Module) -> bool:
    """Whether the whole network may be run without values, on the meta device."""
    return all(map(is_known, net.modules()))


def is_hooked(module: nn.Module) -> bool:
    """Whether code that is not the module's own runs with it, or makes its weights."""
    hooks = (module._forward_hooks, module._forward_pre_hooks)  # noqa: SLF001 - torch tells them nowhere else
    return any(hooks) or hasattr(module, "parametrizations")


def has_script(net: nn.Module) -> bool:
    """Whether TorchScript is in it."""
    return any(isinstance(module, torch.jit.ScriptModule) for module in net.modules())


def guarded(net: nn.Module, what: str) -> AbstractContextManager[None]:
    """Around a pass: what goes wrong in a user's code is told as `BadValue`; in known code it is a bug."""
    return nullcontext() if all_known(net) else running(what)
