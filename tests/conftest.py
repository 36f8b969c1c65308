"""Made feature sets for every test: real stores on disk, small."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from store.features import FeatureSet
from store.fingerprint import Fingerprint
from store.keys import FeatureKey
from store.root import Root, open_root
from store.samples import Samples, Targets
from store.writer import FeatureWriter

MakeSet = Callable[..., FeatureSet]


def make_samples(
    dataset: str, split: str, targets: Mapping[str, np.ndarray], classes: Mapping[str, list[str]]
) -> Samples:
    count = len(next(iter(targets.values())))
    columns = {
        name: Targets(name, tuple(classes.get(name) or map(str, range(int(index.max()) + 1))), index)
        for name, index in targets.items()
    }
    return Samples(dataset, split, [f"{split}/{i:06d}.png" for i in range(count)], np.full(count, 100), columns)


def write_set(
    root: Root,
    x_ND: np.ndarray,
    targets: Mapping[str, np.ndarray],
    *,
    dataset: str = "toy",
    split: str = "train",
    backbone: str = "a",
    classes: Mapping[str, list[str]] | None = None,
    dtype: str = "float32",
    bad_rows: Mapping[int, str] | None = None,
    view: int = 0,
    block_rows: int = 4096,
    weights: str | None = None,
) -> FeatureSet:
    """Store `x_ND` with its target columns as one committed feature set, and open it."""
    samples = make_samples(dataset, split, targets, classes or {})
    fingerprint = Fingerprint(
        weights=weights or f"made-{backbone}",
        architecture="made",
        layer="features",
        pooling="avg",
        recipe={"view": view},
        precision="fp32",
        dtype=dtype,
        samples=samples.id,
    )
    key = FeatureKey(dataset, split, backbone)
    writer = FeatureWriter(root, key, fingerprint, samples, x_ND.shape[1], block_rows=block_rows)
    for block in writer.missing():
        rows = writer.rows(block)
        bad = {row: why for row, why in (bad_rows or {}).items() if row in rows}
        content = np.random.default_rng(block).integers(0, 256, (len(rows), 16), dtype=np.uint8)
        writer.write(block, x_ND[rows.start : rows.stop], content, bad)
    assert writer.commit({"command": "made by a test"})
    return FeatureSet(root, writer.folder)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return open_root(tmp_path / "features")


@pytest.fixture
def make_set(root: Root) -> MakeSet:
    """`make_set(x_ND, {"label": y_N}, split="val", backbone="b")` -> a committed FeatureSet under `root`."""

    def make(x_ND: np.ndarray, targets: Mapping[str, np.ndarray], **options: object) -> FeatureSet:
        return write_set(root, x_ND, targets, **options)  # type: ignore[arg-type]

    return make
