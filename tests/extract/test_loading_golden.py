"""Every upstream checkpoint's form, filled with made-up weights, gives the features that upstream's own code gave.

tests/data/golden/README.md says how they were made and what the tolerance is.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from extract.backbones import ALIASES, BACKBONES
from extract.loading import load, load_head

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
OTHERS = {
    "resnet152_rrl": "supervised_resnet152",
    "wilds_densenet121": "densenet121",
    **{f"closerlook_ResNet{depth}_baseline": f"resnet{depth}" for depth in (10, 18, 34)},
    **{f"closerlook_Conv{blocks}_baseline": f"conv{blocks}" for blocks in (4, 6)},
}
QUICK = {
    "closerlook_Conv4_baseline",
    "closerlook_Conv6_baseline",
    "closerlook_ResNet10_baseline",
    "closerlook_ResNet18_baseline",
    "supervisedimagenet_resnet50_run0",
    "swav_resnet50",
    "vit_imagenet21k_B16",
    "wilds_densenet121",
}

spec = importlib.util.spec_from_file_location("make_checkpoint", GOLDEN / "make_checkpoint.py")
assert spec is not None
assert spec.loader is not None
golden = importlib.util.module_from_spec(spec)
spec.loader.exec_module(golden)

NAMES = sorted(path.stem for path in (GOLDEN / "expected").glob("*.npz"))


def our_name(upstream: str) -> str:
    name = OTHERS.get(upstream, upstream)
    return ALIASES.get(name, name)


@contextmanager
def written(upstream: str, folder: Path) -> Iterator[str]:
    """A golden checkpoint; removed again, since pytest keeps the folders of its last runs."""
    path = folder / f"{upstream}{'.npz' if upstream.startswith('vit') else '.pth'}"
    golden.write(upstream, path)
    yield str(path)
    path.unlink()


@pytest.mark.parametrize(
    "upstream", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_features_are_upstreams(upstream: str, tmp_path: Path):
    expected = np.load(GOLDEN / "expected" / f"{upstream}.npz")
    with written(upstream, tmp_path) as path:
        loaded = load(our_name(upstream), weights=path)
        net = loaded.net
    with torch.inference_mode():
        x_2D = net(torch.from_numpy(golden.image(int(expected["image_size"])))).numpy()
    assert x_2D.shape == (2, loaded.dim) == expected["features"].shape
    error = np.abs(x_2D - expected["features"]).max() / np.abs(expected["features"]).max()
    print(f"{loaded.name}: relative error {error:.1e}")
    assert error <= 1e-4


@pytest.mark.parametrize(
    ("upstream", "key", "transposed"),
    [
        ("supervisedimagenet_resnet50_run0", "module.classifier.linear.", False),
        ("wilds_densenet121", "model.classifier.", False),
        ("closerlook_ResNet10_baseline", "classifier.", False),
        ("vitaugreg_imagenet2012_B16", "head/", True),
        pytest.param("seer_32gf_finetuned", "heads.0.clf.0.", False, marks=pytest.mark.slow),
    ],
)
def test_the_classifier_is_read(upstream: str, key: str, transposed: bool, tmp_path: Path):
    with written(upstream, tmp_path) as path:
        weight_CD, bias_C = load_head(our_name(upstream), weights=path)
    dim, classes = BACKBONES[our_name(upstream)].dim, {"wilds": 2, "close": 200}.get(upstream[:5], 1000)
    filled = golden.fill(
        upstream, key + ("kernel" if transposed else "weight"), [dim, classes] if transposed else [classes, dim]
    )
    assert np.array_equal(weight_CD, filled.T if transposed else filled)
    assert bias_C is not None
    assert np.array_equal(bias_C, golden.fill(upstream, f"{key}bias", [classes]))
