"""What the writer refuses, keeps and resumes."""

import json

import numpy as np
import pytest

from store import open_features
from store.errors import BadFeatures, BadValue, FormatError
from store.features import FeatureSet
from store.fingerprint import Fingerprint
from store.keys import FeatureKey
from store.samples import Samples
from store.writer import FeatureWriter, content_hash, rows_of_block
from tests.conftest import make_samples, write_set

LABELS = {"label": np.arange(100) % 3}
X = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)


def open_writer(root, *, dim=4, dtype="float32", samples=None, block_rows=32, **options) -> FeatureWriter:
    samples = make_samples("toy", "train", LABELS, {}) if samples is None else samples
    fingerprint = Fingerprint(
        weights="w", architecture="made", layer="features", pooling="avg", recipe={}, precision="fp32", dtype=dtype,
        samples=options.pop("samples_id", samples.id),
    )  # fmt: skip
    key = FeatureKey("toy", "train", "a")
    return FeatureWriter(root, key, fingerprint, samples, dim, block_rows=block_rows, **options)


def fill(writer: FeatureWriter, blocks, x=X, bad=None) -> None:
    for block in blocks:
        rows = writer.rows(block)
        writer.write(block, x[rows.start : rows.stop], np.full((len(rows), 16), block, np.uint8), bad)


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
def test_blocks_in_any_order_make_the_set(root, backend) -> None:
    writer = open_writer(root, backend=backend)
    assert writer.missing() == [0, 1, 2, 3]
    fill(writer, [2, 0])
    assert not writer.commit({})
    again = open_writer(root)
    assert again.missing() == [1, 3]
    fill(again, again.missing())
    assert again.commit({"command": "test"})
    stored = FeatureSet(root, again.folder)
    assert np.array_equal(stored.read(), X)
    assert stored.manifest.backend == backend, "the first run's choice"
    assert stored.manifest.provenance["command"] == "test"
    assert (stored.content.read(slice(None))[:, 0] == np.arange(100) // 32).all()


def test_asking_what_is_missing_writes_nothing(root) -> None:
    assert open_writer(root).missing() == [0, 1, 2, 3]
    assert not root.folder.exists()


def test_the_first_run_chooses(root) -> None:
    first = open_writer(root, choices={"batch_size": 64}, block_rows=50)
    assert first.choices == {"batch_size": 64}
    second = open_writer(root, choices={"batch_size": 8}, block_rows=10)
    assert second.choices == {"batch_size": 64}
    assert second.block_rows == 50
    assert second.missing() == [0, 1]


def test_choices_that_are_damaged(root) -> None:
    _ = open_writer(root).choices
    for text in (b"{", b"[]", b"{}"):
        root.put(f"{open_writer(root).folder}/started.json", text)
        with pytest.raises(FormatError, match=r"started.json is damaged: remove the set with `python -m store rm`"):
            _ = open_writer(root).choices


BAD_BLOCKS = {
    "NaN": (
        np.nan,
        "float32",
        r"toy/train/a, row 35 \('train/000035.png'\): a feature is not finite .*--precision fp32",
    ),
    "infinity": (-np.inf, "float16", r"row 35 .*: a feature is not finite"),
    "overflow": (-7e4, "float16", r"row 35 .*: a feature of 70000 does not fit float16; .* --dtype float32"),
}


@pytest.mark.parametrize("case", BAD_BLOCKS)
def test_features_that_may_not_be_stored(root, case) -> None:
    value, dtype, message = BAD_BLOCKS[case]
    writer, x = open_writer(root, dtype=dtype), X.copy()
    x[35, 2] = value
    with pytest.raises(BadFeatures, match=message):
        fill(writer, [1], x)
    assert writer.missing() == [0, 1, 2, 3]
    fill(writer, [1], x, {35: "cannot be decoded"})
    assert writer.missing() == [0, 2, 3]


def test_a_block_of_the_wrong_shape(root) -> None:
    with pytest.raises(BadFeatures, match=r"toy/train/a, block 0: features are \(32, 3\), need \(32, 4\)"):
        open_writer(root).write(0, X[:32, :3], np.zeros((32, 16), np.uint8))


def test_arguments_that_make_no_set(root) -> None:
    nothing = Samples("toy", "train", [], np.array([], np.int64))
    with pytest.raises(BadValue, match="toy/train has no samples"):
        open_writer(root, samples=nothing)
    with pytest.raises(BadValue, match="dtype 'int8': features are stored as float16 or float32"):
        open_writer(root, dtype="int8")
    with pytest.raises(BadValue, match="features need at least one column, not 0"):
        open_writer(root, dim=0)
    with pytest.raises(BadValue, match="the fingerprint belongs to other samples"):
        open_writer(root, samples_id="0" * 64)
    assert not root.folder.exists()


def test_another_dim_than_the_blocks_have(root) -> None:
    fill(open_writer(root), [0])
    with pytest.raises(BadFeatures, match="toy/train/a: the backbone gives 5 columns, the blocks have 4"):
        open_writer(root, dim=5).missing()


@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (1, 3)])
def test_one_sample_and_one_column(root, shape) -> None:
    x = np.ones(shape, np.float32)
    write_set(root, x, {"label": np.zeros(len(x), int)})
    assert np.array_equal(open_features(root, "toy", "train", "a").read(), x)


def test_a_stored_block_is_never_replaced(root) -> None:
    writer = open_writer(root)
    fill(writer, [0, 1, 2, 3])
    fill(writer, [1], X + 1)
    assert writer.commit({})
    fill(open_writer(root), [1], X + 1)
    assert np.array_equal(FeatureSet(root, writer.folder).read(), X)


def test_a_torn_block_is_replaced(root) -> None:
    writer = open_writer(root)
    fill(writer, [0, 1])
    path = root.path(f"{writer.folder}/x/c.1.0")
    path.write_bytes(path.read_bytes()[:-1])
    assert writer.missing() == [1, 2, 3]
    fill(writer, [1, 2, 3])
    assert writer.commit({})
    assert np.array_equal(FeatureSet(root, writer.folder).read(), X)


def test_bad_rows_of_a_block_that_was_not_kept_are_forgotten(root) -> None:
    """A run reads an image badly and is killed before its block is stored; the next run reads it well."""
    writer = open_writer(root)
    fill(writer, [0], bad={3: "the network was away"})
    root.remove(f"{writer.folder}/x/c.0.0")
    fill(writer, writer.missing())
    assert writer.commit({})
    assert FeatureSet(root, writer.folder).manifest.bad_rows == {}


def test_committing_twice_changes_nothing(root) -> None:
    writer = open_writer(root)
    fill(writer, writer.missing())
    assert writer.commit({"run": 1})
    before = root.get(f"{writer.folder}/manifest.json")
    assert open_writer(root).commit({"run": 2})
    assert root.get(f"{writer.folder}/manifest.json") == before
    assert json.loads(before)["provenance"]["run"] == 1


def test_content_hash_is_of_the_bytes() -> None:
    assert len(content_hash(b"")) == 16
    assert content_hash(b"a") != content_hash(b"b")


@pytest.mark.parametrize(
    ("count", "rows", "blocks"),
    [(1, 256, 1), (256, 256, 1), (1877, 256, 8), (4096, 256, 16), (4097, 512, 9), (50_000, 3328, 16),
     (65_536, 4096, 16), (1_281_167, 4096, 313)],
)  # fmt: skip
def test_short_splits_have_several_blocks_and_long_ones_blocks_of_4096(count, rows, blocks) -> None:
    assert rows_of_block(count) == rows
    assert -(-count // rows) == blocks
