"""Made feature sets for every test: real stores on disk, small."""

import os
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from store.features import FeatureSet
from store.fingerprint import Fingerprint
from store.keys import FeatureKey
from store.root import Root, open_root
from store.samples import Samples, Targets
from store.writer import FeatureWriter
from tests.sweep import Sweep

MakeSet = Callable[..., FeatureSet]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked gpu are passed over where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


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
    backend: str = "zarr",
    images_N: np.ndarray | None = None,
) -> FeatureSet:
    """Store `x_ND` with its target columns as one committed feature set, and open it.

    images_N: a number for each image, equal where images are the same, -1 where none was seen; None: all differ.
    """
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
    writer = FeatureWriter(root, key, fingerprint, samples, x_ND.shape[1], block_rows=block_rows, backend=backend)
    content_N = np.random.default_rng(zlib.crc32(f"{dataset}/{split}".encode())).integers(
        0, 256, (len(x_ND), 16), dtype=np.uint8
    )
    if images_N is not None:
        content_N = np.zeros((len(x_ND), 16), np.uint8)
        content_N[:, :4] = (np.asarray(images_N) + 1).astype("<u4").view(np.uint8).reshape(-1, 4)
    for block in writer.missing():
        rows = writer.rows(block)
        bad = {row: why for row, why in (bad_rows or {}).items() if row in rows}
        writer.write(block, x_ND[rows.start : rows.stop], content_N[rows.start : rows.stop], bad)
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


class S3Server:
    """moto's S3 server on loopback; what it holds outlives `stop`."""

    def __init__(self) -> None:
        self.port = 0
        self.start()
        bucket = urllib.request.Request(f"{self.url}/bucket", method="PUT")
        urllib.request.urlopen(bucket).close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    pytest.importorskip("obstore")
    pytest.importorskip("moto.server")
    access = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": "us-east-1"}
    with mock.patch.dict(os.environ, access):
        server = S3Server()
        os.environ.update(AWS_ENDPOINT_URL=server.url, AWS_ALLOW_HTTP="true")
        yield server
        server.stop()


@pytest.fixture
def s3_root(s3_server: S3Server, tmp_path: Path) -> Root:
    """A fresh prefix in the bucket of `s3_server`."""
    return open_root(f"s3://bucket/{tmp_path.name}")


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    """`swept.run(cases)`: commands in forks over a small made store."""
    made = Sweep(tmp_path_factory.mktemp("swept"))
    yield made
    made.close()


@pytest.fixture(autouse=True, scope="session")
def no_fsync() -> Iterator[None]:
    """Tests kill processes, not machines; test_root.py checks that every object is synced."""
    with mock.patch.object(os, "fsync", return_value=None):
        yield
