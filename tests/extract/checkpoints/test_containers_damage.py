"""Damage and hostile files: never a traceback, and never another tensor where the container has checksums."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extract.checkpoints.containers import open_container
from extract.checkpoints.parts import flat
from extract.checkpoints.unpickle import Reader
from store.errors import BadValue

WEIGHTS = {"a.weight": torch.randn(40, 10), "a.bias": torch.randn(10), "n": torch.tensor(3)}


def torch_zip(path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "epoch": 3}, path)


def torch_legacy(path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "epoch": 3}, path, _use_new_zipfile_serialization=False)


def npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, **{key: value.numpy() for key, value in WEIGHTS.items()})  # type: ignore[arg-type]


def safetensors(path: Path) -> None:
    pytest.importorskip("safetensors.torch").save_file(WEIGHTS, path)


def values(path: Path) -> dict[str, Any]:
    return {key: tensor.read() for key, tensor in flat(open_container(path)).items()}


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("make", "checked"), [(torch_zip, True), (npz, True), (torch_legacy, False), (safetensors, False)]
)
def test_flips_and_cuts_are_told_or_change_nothing(make: Callable[[Path], None], checked: bool, tmp_path: Path) -> None:
    path, rng = tmp_path / "x.safetensors", np.random.default_rng(0)
    make(path)
    whole, want, silent = path.read_bytes(), values(path), 0
    places = [*rng.integers(0, len(whole), 200), *range(0, min(700, len(whole)), 7)]
    for at in places:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            silent += not equal(values(path), want)
        except BadValue as error:
            assert str(path) in str(error)  # noqa: PT017 (not every flip is told)
    assert not (checked and silent)
    for at in places[::7]:
        path.write_bytes(whole[:at])
        with pytest.raises(BadValue):
            values(path)


def test_a_shared_storage_is_compared_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    both = torch.arange(1000.0)
    torch.save({"first": both[:10], "second": both[10:]}, path)
    whole = bytearray(path.read_bytes())
    whole[whole.index(struct.pack("<2f", 500.0, 501.0))] ^= 1
    path.write_bytes(whole)
    with pytest.raises(BadValue, match="data/0 is damaged, its checksum is wrong"):
        open_container(path)["first"].read()


def test_a_file_without_checksums_is_read(tmp_path: Path) -> None:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(compute_crc32=False)
    try:
        torch.save(WEIGHTS, tmp_path / "x.pth")
    finally:
        torch.serialization.set_crc32_options(before)
    assert equal(values(tmp_path / "x.pth"), WEIGHTS)


def write_safetensors(path: Path, header: dict[str, Any], data: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shape": [2.0, 2]}, "fetch it again"),
        ({"shape": [True, 4]}, "fetch it again"),
        ({"shape": [-2, -2]}, "fetch it again"),
        ({"shape": "22"}, "fetch it again"),
        ({"shape": None}, "not a readable file"),
        ({"data_offsets": [0.0, 16.0]}, "fetch it again"),
        ({"data_offsets": [0, 15]}, r"F32 of \(2, 2\), has 15 bytes"),
        ({"data_offsets": [0]}, "not a readable file"),
        ({"data_offsets": [16, 0]}, "has -16 bytes"),
        ({"data_offsets": [4, 20]}, "b begins at byte 16 of the data, not at 0|overlap|begins at byte"),
        ({"dtype": "F16"}, r"F16 of \(2, 2\), has 16 bytes"),
        ({"dtype": 3}, "fetch it again"),
        ({"dtype": "F64", "shape": [2, 2], "data_offsets": [0, 32]}, "begins at byte 16 of the data, not at 32"),
    ],
)
def test_a_safetensors_header_that_lies_is_refused(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    a = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    b = {"dtype": "F32", "shape": [4], "data_offsets": [16, 32]}
    path = write_safetensors(tmp_path / "x.safetensors", {"a": a, "b": b}, bytes(32))
    assert values(path).keys() == {"a", "b"}
    with pytest.raises(BadValue, match=says):
        values(write_safetensors(path, {"a": a | change, "b": b}, bytes(32)))


def test_safetensors_without_a_header_or_with_a_rest_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    a = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    for content in (b"", b"1234567", struct.pack("<Q", 1 << 63), struct.pack("<Q", 2) + b"[]"):
        path.write_bytes(content)
        with pytest.raises(BadValue, match=r"x\.safetensors: not "):
            open_container(path)
    with pytest.raises(BadValue, match="its end begins at byte 5 of the data, not at 4"):
        open_container(write_safetensors(path, a, bytes(5)))


@pytest.mark.parametrize("name", ["uint16", "uint32", "uint64", "complex64", "float8_e4m3fn", "float8_e5m2"])
def test_every_type_that_safetensors_and_torch_share_is_read(name: str, tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6).to(getattr(torch, name)), "b": torch.ones(2)}
    pytest.importorskip("safetensors.torch").save_file(tensors, tmp_path / "x.safetensors")
    torch.save(tensors, tmp_path / "x.pth")
    torch.save({"a": tensors["a"][2:4]}, tmp_path / "part.pth")
    for file in ("x.safetensors", "x.pth"):
        assert torch.equal(values(tmp_path / file)["a"].to(torch.complex64), tensors["a"].to(torch.complex64))
    assert torch.equal(
        values(tmp_path / "part.pth")["a"].to(torch.complex64), torch.tensor([2.0, 3]).to(torch.complex64)
    )


def test_a_type_that_torch_cannot_hold_closes_only_its_tensor(tmp_path: Path) -> None:
    header = {
        "a": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]},
        "b": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]},
    }
    found = open_container(write_safetensors(tmp_path / "x.safetensors", header, b"1234"))
    assert found["b"].read().tolist() == [51, 52]
    with pytest.raises(BadValue, match=r"a tensor of \[4\] is of F4, which is not read here"):
        found["a"].read()


@pytest.mark.parametrize("legacy", [False, True])
def test_buffers_and_tensors_with_attributes_are_tensors(legacy: bool, tmp_path: Path) -> None:
    tagged = torch.ones(2)
    tagged.tag = "a"  # type: ignore[attr-defined]
    tree = {"buffer": torch.nn.Buffer(torch.ones(2)), "parameter": torch.nn.Parameter(torch.ones(2)), "tagged": tagged}
    torch.save(tree, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
    assert {key: value.tolist() for key, value in values(tmp_path / "x.pth").items()} == {key: [1, 1] for key in tree}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("tensor", [torch.tensor([1 + 2j]).conj().imag, torch.tensor([1 + 2j]).conj()])
def test_the_negative_of_its_bytes_is_refused(tensor: torch.Tensor, legacy: bool, tmp_path: Path) -> None:
    torch.save({"x": tensor}, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(BadValue, match=r"negative or the conjugate of its bytes .*resolve_neg"):
        values(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "change",
    [{"first": -5}, {"first": 1.0}, {"shape": (2, 3)}, {"stride": ()}, {"stride": (-1,)}, {"shape": (-2,)},
     {"shape": (True,)}, {"first": 1 << 62}, {"shape": (1 << 62,)}, {"shape": (1 << 40,), "stride": (0,)}],
)  # fmt: skip
def test_a_tensor_outside_of_its_storage_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"x": torch.zeros(8)}, path)
    wanted = {"first": 2, "shape": (2,), "stride": (1,)} | change
    plain = Reader._rebuild_tensor

    def hostile(self: Reader, storage: Any, *_: object) -> Any:
        return plain(self, storage, wanted["first"], wanted["shape"], wanted["stride"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reader, "_rebuild_tensor", hostile)
        with pytest.raises(BadValue, match=r"fetch it again"):
            values(path)
