"""A dataset's name is its folder's path: what was extracted under the old path is told of."""

from pathlib import Path

import numpy as np
import pytest

from store.moved import stored_as, warn_if_moved
from store.root import open_root
from store.samples import Samples
from tests.conftest import make_samples, write_set


def test_the_same_images_under_another_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, labels = open_root(tmp_path), {"label": np.array([0, 1, 0])}
    old = make_samples("toy", "train", labels, {})
    moved = Samples("pets-892f50", old.split, old.ids, old.sizes)
    assert stored_as(root, moved) == []
    write_set(root, np.zeros((3, 2), np.float32), labels)
    assert stored_as(root, moved) == ["toy"]
    warn_if_moved(root, moved)
    assert "are in the store as toy. If their folder was moved" in caplog.text
    assert stored_as(root, old) == []
    assert stored_as(root, Samples("pets-892f50", old.split, old.ids, old.sizes + 1)) == []
    assert stored_as(root, Samples("pets-892f50", "elsewhere", old.ids, old.sizes)) == []
