"""A checkpoint never runs code: honest objects of unknown classes are stood in for, hostile pickles are refused."""

import argparse
import builtins
import codecs
import datetime as dt
import io
import os
import pickle
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extract.checkpoints.containers import open_container
from extract.checkpoints.stored import StoredTensor
from extract.checkpoints.unpickle import Inert, Reader
from store.errors import BadValue


class Calls:
    """Pickles as a call of `function` with `args`."""

    def __init__(self, function: Any, *args: object) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


def save(value: Any, path: Path, *, legacy: bool = False) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


WEIGHTS = {"layer.weight": torch.arange(6.0).reshape(2, 3)}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("function", "args", "name"),
    [
        (os.system, ("touch {}",), r"(posix|nt)\.system"),
        (builtins.eval, ("open('{}', 'w')",), r"(builtins|__builtin__)\.eval"),
        (builtins.exec, ("open('{}', 'w')",), r"(builtins|__builtin__)\.exec"),
        (builtins.open, ("{}", "w"), "_?io.open"),
        (builtins.getattr, (os, "system"), r"(builtins|__builtin__)\.getattr"),
        (builtins.__import__, ("this",), r"(builtins|__builtin__)\.__import__"),
        (subprocess.check_call, (["touch", "{}"],), r"(subprocess|commands)\.check_call"),
        (pickle.loads, (b"",), "_?pickle.loads"),
    ],
)
def test_a_hostile_pickle_is_refused_and_nothing_runs(
    function: Any, args: tuple[Any, ...], name: str, legacy: bool, tmp_path: Path
):
    mark = tmp_path / "mark"
    filled = tuple(arg.format(mark) if isinstance(arg, str) else arg for arg in args)
    filled = tuple(f"m{arg.__name__}" if isinstance(arg, types.ModuleType) else arg for arg in filled)
    evil = Calls(function, *filled)
    nested = {"classy_state_dict": {"base_model": {"model": {"trunk": WEIGHTS}}, "hooks": [{"deep": evil}]}}
    for tree in (evil, nested):
        path = save(tree, tmp_path / "evil.pth", legacy=legacy)
        with pytest.raises(BadValue, match=rf"evil.pth: refused, nothing of it was run: its pickle asks for {name}"):
            open_container(path)
    assert not mark.exists()


def test_python_2_names_are_refused_too(tmp_path: Path):
    for line in (b"c__builtin__\neval\n(S'1'\ntR.", b"ccommands\ngetoutput\n(S'ls'\ntR."):
        with pytest.raises(BadValue, match="refused"):
            Reader(io.BytesIO(line), tmp_path).load()


def test_a_pickle_cannot_reach_into_what_it_is_given(tmp_path: Path):
    # opcode BUILD with a pair sets attributes: of the rebuilding function, of OrderedDict, of a dtype
    for target in (b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n", b"ctorch\nfloat32\n"):
        with pytest.raises((AttributeError, TypeError)):
            Reader(io.BytesIO(target + b"(N}S'update'\nI1\nstb."), tmp_path).load()
    assert callable(dict.update)


def test_objects_of_classes_that_are_not_installed_are_stood_in_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = types.ModuleType("vissl_made_up")
    exec(
        "class Meter(dict):\n    pass\n"
        "class Loss:\n    def __init__(self):\n        self.alpha = 1\n        self.me = [self]\n"
        "class Queue(list):\n    pass\n"
        "def rebuild(*args):\n    return args\n",
        module.__dict__,
    )
    for name in ("Meter", "Loss", "Queue", "rebuild"):
        getattr(module, name).__module__ = "vissl_made_up"
    monkeypatch.setitem(sys.modules, "vissl_made_up", module)
    tree = {
        "classy_state_dict": {
            "meters": module.Meter(a=1),
            "losses": {module.Loss(): module.Loss()},
            "queue": module.Queue([1, 2]),
            "call": Calls(module.rebuild, 1, 2),
            "options": argparse.Namespace(lr=0.1),
            "when": dt.datetime(2021, 3, 4, tzinfo=dt.UTC),
            "where": Path("a/b"),
            "best_acc": np.float64(75.5),
            "some": {1, 2},
            "bytes": Calls(codecs.encode, "text", "latin1"),
            "model": WEIGHTS,
        }
    }
    paths = [save(tree, tmp_path / f"{legacy}.pth", legacy=legacy) for legacy in (False, True)]
    monkeypatch.delitem(sys.modules, "vissl_made_up")
    for path in paths:
        state = open_container(path)["classy_state_dict"]
        assert isinstance(state["meters"], Inert)
        assert isinstance(state["call"], Inert)
        assert isinstance(state["options"], Inert)
        assert state["some"] == {1, 2}
        assert torch.equal(state["model"]["layer.weight"].read(), WEIGHTS["layer.weight"])
    assert "vissl_made_up" not in sys.modules


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_are_read_as_torch_reads_them(legacy: bool, tmp_path: Path):
    base = torch.arange(24.0)
    tree = {
        "plain": torch.randn(3, 4),
        "transposed": torch.randn(3, 4).t(),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "view": base[4:10],
        "again": base.reshape(4, 6),
        "expanded": torch.tensor([1.0, 2.0]).expand(3, 2),
        "half": torch.randn(5).half(),
        "bfloat16": torch.randn(5).bfloat16(),
        "count": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
    }
    path = save(tree, tmp_path / "all.pth", legacy=legacy)
    ours, theirs = open_container(path), torch.load(path, weights_only=True)
    assert ours.keys() == theirs.keys()
    for key, tensor in theirs.items():
        assert isinstance(ours[key], StoredTensor)
        read = ours[key].read()
        assert read.dtype == tensor.dtype
        assert torch.equal(read, tensor.detach())
