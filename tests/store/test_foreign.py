"""Other people's files: nothing is run, nothing comes from elsewhere, damage is told in one line."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from store.errors import BadValue
from store.exchange import export_file, import_file
from store.foreign import READERS

SUFFIXES = list(READERS)
X = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
LABELS = np.arange(50) % 4 - 1


def take(root, path):
    (made,) = import_file(root, Path(path), "new", "mine", "train")
    return made


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_damaged(root, make_set, tmp_path, suffix) -> None:
    make_set(X, {"label": LABELS})
    path = tmp_path / f"x{suffix}"
    export_file(root, path, "toy", "train", "a")
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(BadValue, match=f"x{suffix} cannot be read as {suffix}: "):
        take(root, path)
    path.write_bytes(b"")
    with pytest.raises(BadValue, match=f"x{suffix} cannot be read as {suffix}: "):
        take(root, path)


def test_a_pickle_is_never_opened(root, tmp_path) -> None:
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    np.save(tmp_path / "x.npy", np.array([[Trap()]], object), allow_pickle=True)
    np.savez(tmp_path / "y.npz", features=np.array([[Trap()]], object))
    (tmp_path / "z.npy").write_bytes(pickle.dumps(Trap()))
    for name in ("x.npy", "y.npz", "z.npy"):
        with pytest.raises(BadValue, match=r"cannot be read as|Python objects, which are never opened"):
            take(root, tmp_path / name)
    assert not (tmp_path / "sprung").exists()
