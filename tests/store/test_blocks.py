"""The conformance suite: what every backend does, wherever the store lies."""

import numpy as np
import pytest

from store.backends import BACKENDS, backend
from store.blocks import Blocks
from store.errors import DamagedFeatures, FormatError, UnknownName
from store.features import FeatureSet
from tests.conftest import write_set

X = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float16)
BLOCK_ROWS = 32


@pytest.fixture(params=["zarr on disk", "hdf5 on disk", "zarr on s3"])
def place(request):
    """(backend's name, root)"""
    name, where = request.param.split(" on ")
    return name, request.getfixturevalue({"disk": "root", "s3": "s3_root"}[where])


def made(place, x: np.ndarray = X, block_rows: int = BLOCK_ROWS) -> Blocks:
    name, root = place
    names = [f"axis{i}" for i in range(x.ndim)]
    backend(name).create(root, "set/x", x.shape, x.dtype.name, block_rows, names)
    blocks = backend(name).open_blocks(root, "set/x")
    for block in reversed(range(blocks.num_blocks)):
        rows = blocks.rows(block)
        blocks.write_block(block, x[rows.start : rows.stop])
    return backend(name).open_blocks(root, "set/x")


def test_what_was_written_is_read(place) -> None:
    blocks = made(place)
    assert (blocks.shape, blocks.dtype, blocks.block_rows, blocks.num_blocks) == ((100, 5), np.float16, 32, 4)
    rng = np.random.default_rng(1)
    for rows in (
        slice(None), slice(3, 70), slice(64, 96), slice(50, 50), slice(70, 3), slice(-3, None), slice(1, 99, 7),
        np.arange(100), np.array([31, 32, 99]), np.array([99, 0, 0, 40]), np.array([], np.int64), rng.permutation(100),
        rng.random(100) < 0.3,
    ):  # fmt: skip
        assert np.array_equal(blocks.read(rows), X[rows])
    assert np.array_equal(blocks.read_block(3), X[96:])


@pytest.mark.parametrize("shape", [(1, 1), (33, 1), (32, 3), (40,), (7, 2)])
def test_every_shape(place, shape) -> None:
    x = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    assert np.array_equal(made(place, x, min(BLOCK_ROWS, shape[0])).read(slice(None)), x)


def test_reading_into_a_buffer(place) -> None:
    blocks = made(place)
    wide = np.full((67, 9), 7, np.float32)
    assert blocks.read(slice(3, 70), wide[:, 2:7]) is not None
    assert np.array_equal(wide[:, 2:7], X[3:70])
    assert (wide[:, [0, 1, 7, 8]] == 7).all()
    rows = np.array([80, 2, 2, 50])
    out = np.empty((4, 5), np.float64)
    assert blocks.read(rows, out) is out
    assert np.array_equal(out, X[rows])
    with pytest.raises(ValueError, match=r"the buffer is \(3, 5\), the rows asked for are \(4, 5\)"):
        blocks.read(rows, np.empty((3, 5), np.float32))


def test_rows_that_do_not_exist(place) -> None:
    blocks = made(place)
    for rows in ([100], [-1], [0, 100]):
        with pytest.raises(IndexError, match="of an array with 100 rows"):
            blocks.read(np.array(rows))
    with pytest.raises(IndexError, match="a mask of"):
        blocks.read(np.ones(99, bool))
    with pytest.raises(TypeError):
        blocks.read(np.array([0.5]))


def test_every_float16_becomes_its_float32(place) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(-1, 64)
    blocks = made(place, every, 32)
    want = every.astype(np.float32)
    got = blocks.read(slice(None), np.empty(every.shape, np.float32))
    assert np.array_equal(got.view(np.uint32), want.view(np.uint32))


def test_only_whole_blocks_count(place) -> None:
    blocks = made(place)
    root = blocks.root
    assert blocks.stored() == {0, 1, 2, 3}
    root.remove(blocks.key(1))
    root.put(blocks.key(2), root.get(blocks.key(2))[:-1])
    assert blocks.stored() == {0, 3}


@pytest.mark.parametrize("rows", [slice(40, 50), np.array([40]), np.arange(32, 64)], ids=["slice", "row", "block"])
@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda data: data[:-1], r"has \d+ bytes, needs \d+"),
        (lambda data: b"", r"is empty|has 0 bytes, needs \d+"),
        (lambda data: data[:-9] + bytes([data[-9] ^ 4]) + data[-8:], "does not match its checksum"),
        (None, "is missing"),
    ],
    ids=["truncated", "empty", "flipped", "missing"],
)
def test_a_damaged_block_is_never_read(place, spoil, what, rows) -> None:
    blocks = made(place)
    data = blocks.root.get(blocks.key(1))
    blocks.root.remove(blocks.key(1))
    if spoil:
        blocks.root.put(blocks.key(1), spoil(data))
    with pytest.raises(DamagedFeatures, match=f"({what}): rows 32 to 63 are lost. Run `python -m store verify"):
        blocks.read(rows)
    assert np.array_equal(blocks.read(slice(0, 32)), X[:32])


def test_the_checksum_is_that_of_the_rows(place) -> None:
    blocks = made(place)
    assert [blocks.checksum(block) for block in range(4)] == [
        blocks.encode(block, X[blocks.rows(block).start : blocks.rows(block).stop])[1] for block in range(4)
    ]
    assert blocks.checksum(0) != blocks.checksum(1)


def test_metadata_that_is_not_ours(place) -> None:
    name, root = place
    with pytest.raises(DamagedFeatures, match=r"(zarr|array).json is missing"):
        backend(name).open_blocks(root, "set/x")
    (meta,) = (made(place).root.list("set/x").keys()) & {"zarr.json", "array.json"}
    for text in (b"{}", b"[", b'{"shape": 3}'):
        root.put(f"set/x/{meta}", text)
        with pytest.raises(FormatError, match="is not a"):
            backend(name).open_blocks(root, "set/x")


def test_a_zarr_array_of_other_codecs_is_refused(root) -> None:
    import zarr

    zarr.create_array(str(root.path("set/x")), shape=(9, 2), dtype="float32", chunks=(3, 2))
    with pytest.raises(FormatError, match="format 1 has codecs bytes and crc32c, chunks of whole rows"):
        backend("zarr").open_blocks(root, "set/x")


def test_zarr_reads_our_arrays(root) -> None:
    import zarr

    stored = write_set(root, X.astype(np.float32), {"label": np.zeros(100, int)}, dtype="float16", block_rows=32)
    array = zarr.open_array(str(root.path(f"{stored.folder}/x")), mode="r")
    assert (array.shape, array.dtype, array.metadata.dimension_names) == ((100, 5), np.float16, ("sample", "feature"))
    assert np.array_equal(array[:], X)


def test_h5py_reads_our_arrays(root, monkeypatch) -> None:
    import h5py

    x = X.astype(np.float32)
    stored = write_set(root, x, {"label": np.zeros(100, int)}, block_rows=32, backend="hdf5")
    assert stored.manifest.backend == "hdf5"
    with h5py.File(root.path(f"{stored.folder}/x.h5")) as file:
        assert np.array_equal(file["features"][:], x)
        assert np.array_equal(file["features"][40:70], x[40:70])
    with h5py.File(root.path(f"{stored.folder}/x/3.h5")) as file:
        assert np.array_equal(file["x"][:], x[96:])


def test_both_backends_make_the_same_set(root) -> None:
    x = X.astype(np.float32)
    sets = {}
    for name in BACKENDS:
        sets[name] = write_set(root, x, {"label": np.zeros(100, int)}, backbone=name, weights="w", backend=name)
        assert np.array_equal(FeatureSet(root, sets[name].folder).read(), x)
    assert sets["zarr"].manifest.fingerprint == sets["hdf5"].manifest.fingerprint
    with pytest.raises(UnknownName, match="unknown backend 'hdf'; nearest: hdf5; there are: zarr, hdf5"):
        write_set(root, x, {"label": np.zeros(100, int)}, backend="hdf")
