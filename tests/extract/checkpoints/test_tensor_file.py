"""Files of tensors: read by safetensors' own library, whole or not at all."""

import errno
import os
from pathlib import Path
from unittest import mock

import pytest
import torch

from extract.checkpoints.containers import open_container
from extract.checkpoints.tensor_file import write_file, write_tensors
from store.errors import RootError


def test_safetensors_itself_reads_what_is_written(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    tensors = {
        "b.weight": torch.randn(3, 4).t(),
        "a": torch.arange(5),
        "half": torch.randn(2, 2).bfloat16(),
        "count": torch.tensor(7),
        "none": torch.empty(0, 3),
    }
    sha256 = write_tensors(tmp_path / "x.safetensors", tensors)
    found, ours = load_file(tmp_path / "x.safetensors"), open_container(tmp_path / "x.safetensors")
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)
        assert torch.equal(ours[name].read(), tensor)
    assert write_tensors(tmp_path / "y.safetensors", dict(reversed(tensors.items()))) == sha256


def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    write_file(file, b"before")
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        mock.patch.object(os, "fsync", side_effect=full),
        pytest.raises(RootError, match=r"the disk is full: free some"),
    ):
        write_file(file, b"after")
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]
