"""Files that are not what they should be are told apart; the four containers give the same tensors."""

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from extract.checkpoints.containers import open_container
from store.errors import BadValue


def test_safetensors_are_read(tmp_path: Path):
    safetensors = pytest.importorskip("safetensors.torch")
    tensors = {"a": torch.randn(3, 4), "b": torch.randn(5).bfloat16(), "c": torch.tensor(3)}
    safetensors.save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    found = open_container(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    for key, tensor in tensors.items():
        assert torch.equal(found[key].read(), tensor)
    assert open_container((tmp_path / "x.safetensors").rename(tmp_path / "blob")).keys() == tensors.keys()


def test_npz_is_read(tmp_path: Path):
    arrays = {"head/kernel": np.random.default_rng(0).random((3, 4), np.float32), "f": np.asfortranarray(np.eye(3, 2))}
    np.savez(tmp_path / "x.npz", **arrays)
    found = open_container(tmp_path / "x.npz")
    for key, array in arrays.items():
        assert np.array_equal(found[key].read().numpy(), array)


def test_an_npz_of_objects_is_refused(tmp_path: Path):
    np.savez(tmp_path / "x.npz", a=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BadValue, match=r"x.npz: a.npy holds object, not numbers"):
        open_container(tmp_path / "x.npz")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_a_file_that_ends_too_early_is_told_so(legacy: bool, keep: float, tmp_path: Path):
    path = tmp_path / "cut.pth"
    torch.save({"a": torch.randn(1000), "b": torch.randn(1000)}, path, _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(
        BadValue, match=r"cut.pth: (not a readable file of weights .*|the file ends too early).*fetch it again"
    ):
        open_container(path)


def test_a_cut_safetensors_file_is_told_so(tmp_path: Path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    whole = struct.pack("<Q", len(header)) + header + bytes(16)
    for cut, text in ((len(whole) - 1, "a lies beyond the end"), (10, "its header is 62 bytes long, the file 10")):
        (tmp_path / "x.safetensors").write_bytes(whole[:cut])
        with pytest.raises(BadValue, match=text):
            open_container(tmp_path / "x.safetensors")


def test_a_tensor_that_claims_more_than_its_bytes_is_refused(tmp_path: Path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [400], "data_offsets": [0, 16]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(BadValue, match=r"a, F32 of \(400,\), has 16 bytes; fetch it again"):
        open_container(tmp_path / "x.safetensors")["a"].read()


def test_a_web_page_and_other_files_are_told_so(tmp_path: Path):
    page = tmp_path / "weights.pth.tar"
    page.write_text("\n<!DOCTYPE html><html>Google Drive - Virus scan warning</html>")
    with pytest.raises(BadValue, match="it is a web page, so the download went wrong"):
        open_container(page)
    page.write_bytes(b"\x89PNG....")
    with pytest.raises(
        BadValue, match=r"not a file of weights: it begins with .*PNG.*torch.save, .safetensors and .npz"
    ):
        open_container(page)


def test_a_compressed_member_is_refused(tmp_path: Path):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "x.pth")
    with (
        zipfile.ZipFile(tmp_path / "x.pth") as old,
        zipfile.ZipFile(tmp_path / "y.pth", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(BadValue, match=r"is compressed, as torch.save and numpy.savez never write it"):
        open_container(tmp_path / "y.pth")
