"""A head is what was stored under its name, or it is refused; those of earlier versions open, and say so."""

import io
import json

import numpy as np
import pytest

from store.errors import FormatError
from store.heads import StoredHead, load_head, save_head

HEAD = StoredHead(
    weight=np.arange(6).reshape(2, 3),
    bias=np.ones(2),
    arrays={"mean": np.arange(3.0)},
    info={"features": ["a"], "widths": (3,), "normalise": False},
)


def arrays_of(root, name: str) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(root.get(f"heads/{name}.npz"))) as file:
        return dict(file)


def put(root, name: str, **arrays) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    root.put(f"heads/{name}.npz", buffer.getvalue())


def test_a_head_comes_back(root, caplog) -> None:
    head = load_head(root, save_head(root, HEAD))
    assert (head.weight.dtype, head.weight.tolist(), head.bias.tolist()) == (np.float32, [[0, 1, 2], [3, 4, 5]], [1, 1])
    assert head.arrays["mean"].tolist() == [0, 1, 2]
    assert head.info == {"format": 1, "features": ["a"], "widths": [3], "normalise": False}
    assert load_head(root, save_head(root, head, "again")).info == head.info
    assert not caplog.messages


@pytest.mark.parametrize("name", ["weight", "bias", "step.mean"])
def test_other_values_are_refused(root, name) -> None:
    save_head(root, HEAD, "one")
    arrays = arrays_of(root, "one")
    put(root, "one", **{**arrays, name: arrays[name] + 1})
    with pytest.raises(
        FormatError, match=r"one.npz is not a head \(it was changed after it was written\): restore it, or"
    ):
        load_head(root, "one")
    put(root, "one", **{key: value for key, value in arrays.items() if key != "step.mean"})
    with pytest.raises(FormatError, match="it was changed after it was written"):
        load_head(root, "one")


def test_another_info_is_refused(root) -> None:
    save_head(root, HEAD, "one")
    arrays = arrays_of(root, "one")
    info = json.loads(arrays["info"].tobytes())
    for change in ({"features": ["b"]}, {"more": 1}, {"arrays": {}}, {"sha256": "0" * 64}, {"format": 0}):
        text = json.dumps({**info, **change}).encode()
        put(root, "one", **{**arrays, "info": np.frombuffer(text, np.uint8)})
        with pytest.raises(FormatError, match="it was changed after it was written"):
            load_head(root, "one")


def test_heads_that_changed_places_are_refused(root) -> None:
    for name, other in (("one", HEAD), ("two", StoredHead(weight=-HEAD.weight, bias=HEAD.bias, info=HEAD.info))):
        save_head(root, other, name)
    root.put("heads/one.npz", root.get("heads/two.npz"))
    with pytest.raises(FormatError, match="it is the head 'two', which cannot be renamed"):
        load_head(root, "one")


def test_a_head_of_an_earlier_version_is_read_and_told(root, caplog) -> None:
    info = json.dumps({"format": 1, **HEAD.info}).encode()
    put(root, "old", weight=HEAD.weight, bias=HEAD.bias, info=np.frombuffer(info, np.uint8))
    assert load_head(root, "old").info["features"] == ["a"]
    assert caplog.messages == ["head old is of an earlier version, which kept no hash of it: it is applied unchecked"]
