"""Every upstream key list fits its network, strictly; what does not fit is told with its first names and shapes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom

from extract.backbones import ALIASES, BACKBONES, find_backbone
from extract.checkpoints.layouts import LAYOUTS, resize_positions
from extract.checkpoints.parts import Parts, check
from extract.checkpoints.stored import StoredTensor, contiguous_stride
from extract.checkpoints.unpickle import Inert
from extract.loading import build, load_head
from store.errors import BadValue

KEYS = Path(__file__).parents[2] / "data" / "golden" / "keys"
OTHERS = {
    "resnet152_rrl": "supervised_resnet152",
    "wilds_densenet121": "densenet121",
    **{f"closerlook_ResNet{depth}_baseline": f"resnet{depth}" for depth in (10, 18, 34)},
    **{f"closerlook_Conv{blocks}_baseline": f"conv{blocks}" for blocks in (4, 6)},
}
FORMS = sorted(path.stem for path in KEYS.glob("[!_]*.json"))


def our_name(upstream: str) -> str:
    name = OTHERS.get(upstream, upstream)
    return ALIASES.get(name, name)


def stored(shape: list[int]) -> StoredTensor:
    """A tensor of a file that is not there: its shape is all that strictness looks at."""
    return StoredTensor(Path("made.pth"), 0, 0, torch.float32, tuple(shape), contiguous_stride(tuple(shape)))


def made_tree(upstream: str) -> dict[str, Any]:
    """What the container of the file `upstream` holds, from its key list."""
    spec = json.loads((KEYS / f"{upstream}.json").read_text())
    tree: dict[str, Any] = {key: stored(shape) for key, shape in spec["keys"].items()}
    for level in reversed(spec["nested_path"]):
        tree = {level: tree, "epoch": 99}
    if spec.get("heads_path"):
        inner = tree
        for level in spec["heads_path"][:-1]:
            inner = inner[level]
        inner[spec["heads_path"][-1]] = {key: stored(shape) for key, shape in spec["heads"].items()}
    return tree


def fit(name: str, tree: Any) -> Parts:
    backbone = find_backbone(name)
    assert backbone.weights is not None
    shapes = {key: tuple(value.shape) for key, value in build(backbone, given=True).net.state_dict().items()}
    parts = LAYOUTS[backbone.weights.layout](Path("made.pth"), tree, shapes, "")
    check(Path("made.pth"), name, parts, shapes)
    return parts


def test_there_is_a_key_list_for_every_published_backbone():
    offline = {"pixels", *(f"efficientnet_lite{size}" for size in range(3))}
    alike = {name for name in BACKBONES if name.endswith("_in21k_384") or name.startswith("densenet121_seed")}
    assert {our_name(form) for form in FORMS} == set(BACKBONES) - offline - alike


@pytest.mark.parametrize("upstream", FORMS)
def test_a_key_list_fits_strictly(upstream: str):
    parts = fit(our_name(upstream), made_tree(upstream))
    dim = find_backbone(our_name(upstream)).dim
    headless = upstream.startswith("swav") or (upstream.startswith("seer") and not upstream.endswith("_finetuned"))
    if headless or upstream.endswith("distill5"):
        assert parts.head is None
    else:
        assert parts.head is not None
        assert parts.head[0].shape[1] == dim


def test_a_missing_parameter_is_named():
    tree = made_tree("swav_resnet50")
    del tree["module.layer1.0.conv1.weight"], tree["module.bn1.bias"]
    with pytest.raises(
        BadValue,
        match=r"made.pth does not fit swav_resnet50: 2 of its 318 .* missing: bn1.bias, layer1.0.conv1.weight$",
    ):
        fit("swav_resnet50", tree)


def test_another_shape_is_named():
    with pytest.raises(BadValue, match=r"have another shape: conv1.weight is \[128, 3, 7, 7\], needs \[64, 3, 7, 7\]"):
        fit("swav_resnet50", made_tree("swav_resnet50w2"))
    with pytest.raises(BadValue, match=r"does not fit seer_regnet256gf: .* have another shape"):
        fit("seer_regnet256gf", made_tree("seer_128gf"))


def test_an_unexplained_key_is_named():
    tree = made_tree("supervisedimagenet_resnet50_run0")
    tree["state_dict"]["module.model0.layer5.weight"] = stored([3])
    with pytest.raises(BadValue, match=r"1 keys of the file are unknown: module.model0.layer5.weight"):
        fit("supervised_resnet50_run0", tree)


def test_a_file_without_tensors_is_told_so():
    with pytest.raises(BadValue, match=r"holds no tensors by name; torch.save\(net.state_dict\(\), FILE\)"):
        fit("swav_resnet50", {"epoch": 3})


@pytest.mark.parametrize("prefix", ["module.", "", "backbone."])
def test_the_distilled_network_may_have_any_of_the_prefixes_that_upstream_strips(prefix: str):
    tree = made_tree("supervisedimagenet_resnet50_distill5")["state_dict"]
    renamed = {key.replace("module.model0.", prefix): value for key, value in tree.items()}
    fit("supervised_resnet50_distill5", {"state_dict": renamed | {"module.classifier.3.weight": stored([1000, 2048])}})


def test_what_lies_beside_the_weights_does_not_matter():
    tree = made_tree("seer_32gf")
    optimizer = {"state": {0: {"momentum_buffer": stored([32, 3, 3, 3])}}}
    tree["classy_state_dict"] |= {"optimizer": optimizer, "hooks": Inert(), "meters": [Inert()]}
    tree["classy_state_dict"]["base_model"]["meta"] = {"trunk": Inert()}
    assert len(fit("seer_regnet32gf", tree).backbone) == 470
    tree = made_tree("supervisedimagenet_resnet50_run0")
    tree |= {"optimizer": optimizer, "scheduler": Inert(), "best_acc": Inert()}
    assert len(fit("supervised_resnet50_run0", tree).backbone) == 318


def test_a_cosine_head_is_read_with_its_scales(tmp_path: Path):
    net = build(find_backbone("conv4"), given=True).net
    state = {
        f"feature.trunk.{key[0]}.trunk{key[1:]}": torch.zeros(value.shape) for key, value in net.state_dict().items()
    }
    scale_C1, direction_CD = torch.rand(200, 1), torch.randn(200, 1600)
    head = {"classifier.L.weight_g": scale_C1, "classifier.L.weight_v": direction_CD}
    torch.save({"epoch": 399, "state": state | head}, tmp_path / "399.tar")
    weight_CD, bias_C = load_head("conv4", weights=str(tmp_path / "399.tar"))
    assert bias_C is None
    expected_CD = scale_C1 * direction_CD / direction_CD.norm(dim=1, keepdim=True)
    assert np.allclose(weight_CD, expected_CD, atol=1e-6)


def test_old_files_may_lack_the_counts_of_batches():
    tree = {key: value for key, value in made_tree("swav_resnet50").items() if "num_batches" not in key}
    assert len(fit("swav_resnet50", tree).backbone) == 318 - 53


def test_positions_are_resized_as_upstream_does():
    pos_1TD = torch.rand(1, 197, 8, generator=torch.Generator().manual_seed(0))
    ours_TD = resize_positions(pos_1TD, 577)[0].numpy()
    grid = zoom(pos_1TD[0, 1:].numpy().reshape(14, 14, 8), (24 / 14, 24 / 14, 1), order=1)
    assert np.abs(ours_TD[1:] - grid.reshape(576, 8)).max() < 1e-6
    assert np.array_equal(ours_TD[0], pos_1TD[0, 0].numpy())
    assert resize_positions(pos_1TD, 197) is pos_1TD
    with pytest.raises(BadValue, match="198 position embeddings are not a square"):
        resize_positions(torch.zeros(1, 198, 8), 577)


def test_weights_of_224_px_serve_at_384_px():
    parts = fit("vit_b16_in21k_384", made_tree("vit_imagenet21k_B16"))
    assert parts.backbone["encoder.pos_embedding"].shape == (1, 577, 768)


def test_a_broken_vision_transformer_is_told_so():
    tree = made_tree("vit_imagenet21k_B16")
    tree["embedding/kernel"] = stored([16, 768])
    with pytest.raises(BadValue, match=r"made.pth: an array has a shape that no vision transformer has"):
        fit("vit_b16_in21k", tree)
    with pytest.raises(BadValue, match="not a vision transformer of Google's"):
        fit("vit_b16_in21k", {"state_dict": {}})


def own(tree: Any, shapes: dict[str, tuple[int, ...]], head: str = "fc") -> Parts:
    parts = LAYOUTS["own_names"](Path("made.pth"), tree, shapes, head)
    check(Path("made.pth"), "net", parts, shapes)
    return parts


SHAPES = {"conv1.weight": (4, 3, 3, 3), "layer1.0.bn.weight": (4,), "layer1.0.bn.bias": (4,)}


@pytest.mark.parametrize(
    ("below", "prefix"),
    [
        ((), ""), ((), "module."), ((), "net.module."), ((), "_orig_mod."), (("net",), ""), (("net",), "module."),
        (("a", "b"), "c."), (("state_dict",), "model."), (("state_dict",), "module.encoder."), (("model_ema",), ""),
    ],
)  # fmt: skip
def test_any_key_or_prefix_that_all_names_share_is_left_out(below: tuple[str, ...], prefix: str) -> None:
    tree: Any = {f"{prefix}{key}": stored(list(shape)) for key, shape in {**SHAPES, "fc.weight": (7, 4)}.items()}
    for level in below:
        tree = {level: tree, "optimizer": {"state": {0: {"exp_avg": stored([4, 3, 3, 3])}}}, "epoch": 3}
    parts = own(tree, SHAPES)
    assert parts.backbone.keys() == SHAPES.keys()
    assert parts.head is not None
    assert parts.head[0].shape == (7, 4)


def test_two_sets_of_weights_that_fit_are_refused() -> None:
    one = {key: stored(list(shape)) for key, shape in SHAPES.items()}
    with pytest.raises(BadValue, match=r"more than one set of weights that fits, below teacher\. and student\."):
        own({"teacher": one, "student": one}, SHAPES)
    with pytest.raises(BadValue, match=r"keys of the file are unknown: extra\. What fits has the network's own names"):
        own({**one, "extra": stored([4])} | {"conv1.weight": one["layer1.0.bn.bias"]}, {**SHAPES, "conv2.bias": (4,)})


def test_a_classifier_of_more_than_weight_and_bias_is_not_given() -> None:
    tree = {key: stored(list(shape)) for key, shape in SHAPES.items()}
    tree |= {
        "head.fc.fc1.weight": stored([9, 4]),
        "head.fc.fc2.weight": stored([7, 9]),
        "head.fc.fc2.bias": stored([7]),
    }
    assert own(tree, SHAPES, "head.fc.fc2").head is None
    del tree["head.fc.fc1.weight"]
    assert own(tree, SHAPES, "head.fc.fc2").head is not None
    kept = {**SHAPES, "head.norm.weight": (4,)}
    with pytest.raises(BadValue, match=r"keys of the file are unknown: head\.other"):
        own(tree | {"head.norm.weight": stored([4]), "head.other": stored([4])}, kept, "head.fc")
