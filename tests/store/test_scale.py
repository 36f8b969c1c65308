"""10^8 rows: what is asked of the store must not grow with what is in it."""

import numpy as np
import pytest

from store import open_features
from store.root import Root, open_root
from tests.benchmarks import bench_store_scale as big

ROWS, DIM = 10**8, 8


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> str:
    folder = str(tmp_path_factory.mktemp("big"))
    big.make(folder, ROWS, DIM, missing=(17, 20000))
    return folder


def counted(url: str) -> tuple[Root, list[str]]:
    """A root that notes what is asked of it."""
    asked: list[str] = []
    root = open_root(url)
    for name in ("get", "list", "path", "get_range"):
        method = getattr(root, name)
        setattr(
            root, name, lambda *args, m=method, n=name: asked.append(f"{n} {args[0].rpartition('/')[2]}") or m(*args)
        )
    return root, asked


def test_planning_is_two_listings(url) -> None:
    writer = big.open_writer(url, DIM)
    writer.root, asked = counted(url)
    assert writer.missing() == [17, 20000]
    assert sorted(one for one in asked if one.startswith("list")) == ["list content", "list x"]
    assert len(asked) < 10


def test_a_random_block_and_id_are_one_read_each(url) -> None:
    big.commit_unread(big.open_writer(url, DIM), ROWS, DIM)
    root, asked = counted(url)
    x = open_features(root, "big", "train", "a")
    assert x.shape == (ROWS, DIM)
    assert sum(one.startswith("get ") for one in asked) == 2  # the manifest, and the listing of the dataset
    want = np.random.default_rng(0).standard_normal((4096, DIM), np.float32).astype(np.float16)
    assert np.array_equal(x.read(slice(9999 * 4096, 10000 * 4096)), want)
    paths = ["path c.9999.0", "path c.0"]
    assert [one for one in asked if one.startswith("path")] == paths, "the block, and once a set the checksums"
    assert np.array_equal(x.read(slice(18 * 4096, 19 * 4096)), want)
    assert [one for one in asked if one.startswith("path")] == [*paths, "path c.18.0"]
    assert x.samples.ids[77] == "n01234567/img_000000.jpg"
    assert {one for one in asked if one.startswith("path")} == {*paths, "path c.18.0"}
    assert not [one for one in asked if "sizes" in one]
