"""The x.h5 of a store is taken with the checksums of its blocks, of which the HDF5 library knows nothing."""

import shutil

import numpy as np
import pytest

from store.errors import BadValue
from store.exchange import import_file
from tests.store.damage import flip, swap

X = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)


@pytest.mark.parametrize("committed", [True, False], ids=["with its manifest", "blocks alone"])
def test_damaged_blocks_are_not_imported(root, make_set, tmp_path, committed) -> None:
    stored = make_set(X, {"label": np.arange(50) % 3}, backend="hdf5", block_rows=16)
    shutil.copytree(root.path(stored.folder), tmp_path / "set")
    folder = tmp_path / "set"
    if not committed:
        (folder / "manifest.json").unlink()
    (made,) = import_file(root, folder / "x.h5", "new", "mine", "train")
    assert np.array_equal(made.read(), X)
    whole = (folder / "x/1.h5").read_bytes()
    flip(folder / "x/1.h5", 0.999)
    with pytest.raises(BadValue, match=r"x.h5 is damaged: 1.h5 does not match its checksum"):
        import_file(root, folder / "x.h5", "new", "again", "train")
    (folder / "x/1.h5").write_bytes(whole)
    swap(folder / "x/0.h5", folder / "x/1.h5")
    if committed:
        with pytest.raises(BadValue, match=r"x.h5 is damaged: 0.h5 is not the block that was committed"):
            import_file(root, folder / "x.h5", "new", "again", "train")
