"""Batch normalisation folded into the convolution before it: the same function in eval mode, with a pass less."""

import logging
from collections.abc import Collection

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from extract.forward.known import is_hooked, is_known

log = logging.getLogger("extract")


class _Tracer(fx.Tracer):
    """Sees through everything but single layers (timm's own convolutions and normalisations are such) and code that
    is not known.
    """

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        layer = isinstance(m, nn.Conv2d | nn.BatchNorm2d)
        return layer or not _is_open(m) or super().is_leaf_module(m, module_qualified_name)


def _is_open(module: nn.Module) -> bool:
    return is_known(module) and not is_hooked(module)


def fold_batchnorm(net: nn.Module, keep: Collection[str] = ()) -> int:
    """Fold every convolution that feeds only its batch normalisation, in place; returns how many.

    What the convolutions in `keep` give is wanted as it is.
    The pairs come from a symbolic trace (torch.fx) through known code alone. A network that cannot be traced stays as
    it is, and so does one without batch normalisation, which is not traced.
    """
    if not _is_open(net) or not any(isinstance(module, nn.BatchNorm2d) for module in net.modules()):
        return 0
    closed = {id(part) for module in net.modules() if not _is_open(module) for part in module.modules()}
    try:
        graph = _Tracer().trace(net)
    except Exception as error:  # noqa: BLE001 - whatever someone's forward does under symbolic values
        log.debug("batch normalisation is not folded: %s", error)
        return 0
    calls: dict[str, int] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            calls[node.target] = calls.get(node.target, 0) + 1
    folded = 0
    for node in graph.nodes:
        before = node.args[0] if node.args else None
        if node.op != "call_module" or not isinstance(before, fx.Node) or before.op != "call_module":
            continue
        conv, norm = net.get_submodule(str(before.target)), net.get_submodule(node.target)
        once = calls[str(before.target)] == calls[node.target] == len(before.users) == 1
        if (
            str(before.target) not in keep
            and once
            and isinstance(conv, nn.Conv2d)
            and isinstance(norm, nn.BatchNorm2d)
            and norm.running_var is not None
            and not closed & {id(conv), id(norm)}
        ):
            with torch.no_grad():
                fused = fuse_conv_bn_eval(conv, norm)
            _replace(net, str(before.target), fused.requires_grad_(requires_grad=False))
            _replace(net, node.target, getattr(norm, "act", None) or nn.Identity())
            folded += 1
    return folded


def _replace(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(net.get_submodule(parent), leaf, module)
