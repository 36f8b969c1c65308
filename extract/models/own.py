"""A user's own network: `module:function`, from the working directory, or from a folder: `FOLDER/module:function`."""

import hashlib
import importlib
import importlib.util
import io
import re
import sys
import traceback
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from extract.models.own_code import OURS, digest_of, is_local, module_file, split_path
from store.errors import BadValue, UnknownName, UserError

_brought: dict[str, tuple[int, int]] = {}
"""Modules that users' ones brought along, themselves too, and the state of their files at that time."""


def build_own(arch: str) -> tuple[nn.Module, str]:
    """The network that the function returns; and its name with the hash of the code that made it.

    Raises `BadValue`: no such module, or it failed. `UnknownName`: no such function.
    """
    folder, name = split_path(arch)
    module, _, function = name.partition(":")
    if folder is not None and _file(folder, module) is None:
        raise BadValue(f"backbone {arch!r}: there is no {module.replace('.', '/')}.py in {folder}")
    with _first_on_path(folder or Path.cwd()) as here:
        _forget_stale(here)
        before = set(sys.modules)
        try:
            found = _module(here, module, arch)
            build: Any = getattr(found, function, None)
            if not callable(build):
                known = [name for name, value in vars(found).items() if callable(value) and not name.startswith("_")]
                place = getattr(found, "__file__", None) or "Python itself"
                raise UnknownName(f"function of {module}", function, known, f"it is looked for in {place}")
            with running(f"{name}()"):
                net = build()
        finally:
            _brought.update({name: _stamp(name) for name in set(sys.modules) - before if _is_users(name)})
        if not isinstance(net, nn.Module):
            raise BadValue(f"{name}() gave {type(net).__name__}, not a torch.nn.Module")
        if lazy := [key for key, value in net.state_dict().items() if is_lazy(value)]:
            raise BadValue(f"{name}() gave a network whose {lazy[0]} has no shape yet: run it once before returning it")
        file = getattr(found, "__file__", None) or ""
        code = digest_of(module, Path(file), function) if file.endswith(".py") else ""
        with running(f"{name}(): writing its TorchScript"):
            scripts = list(_scripts(net))
    return net, " ".join([name, code, *scripts]).rstrip()


@contextmanager
def _first_on_path(folder: Path) -> Iterator[Path]:
    """Look for modules in `folder` first; afterwards last, for what is imported while the network runs."""
    here, before = folder.resolve(), sys.dont_write_bytecode
    sys.path.insert(0, str(here))
    sys.dont_write_bytecode = True  # a file that is edited twice in a second would be taken from its bytecode
    importlib.invalidate_caches()
    try:
        yield here
    finally:
        sys.dont_write_bytecode = before
        with suppress(ValueError):
            sys.path.remove(str(here))
        if str(here) not in sys.path and not ("" in sys.path and here == Path.cwd()):
            sys.path.append(str(here))


def _module(here: Path, module: str, arch: str) -> ModuleType:
    """The module, as its files are now."""
    file = _file(here, module)
    try:
        with running(f"backbone {arch!r}: import {module}"):
            loaded = sys.modules.get(module)
            if file is None or loaded is None or module in _brought or "." in module:
                return importlib.import_module(module)
            spec = importlib.util.spec_from_file_location(f"own_{module}", file)  # another one has its name
            assert spec is not None
            assert spec.loader is not None
            made = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(made)
            return made
    except ImportError as error:
        raise BadValue(
            f"backbone {arch!r}: {error}; module:function names a function that returns a torch module, from a module "
            f"that Python finds from {here}; FOLDER/module:function one of another folder; names of backbones: "
            "python -m extract --list"
        ) from error


def _file(folder: Path, module: str) -> Path | None:
    path = "/".join(module.split("."))
    return next((file for file in (folder / f"{path}.py", folder / path / "__init__.py") if file.is_file()), None)


def _is_users(name: str) -> bool:
    file = module_file(name)
    return file is not None and is_local(file) and name.partition(".")[0] not in OURS


def _forget_stale(here: Path) -> None:
    """Forget users' modules where one was edited since, or another of its name lies where it is now looked for."""
    for name in [name for name in _brought if name in sys.modules]:
        file, there = module_file(name), _file(here, name)
        if _stamp(name) != _brought[name] or (there is not None and (file is None or there != file.resolve())):
            for old in _brought:
                sys.modules.pop(old, None)
            _brought.clear()
            return


def _stamp(name: str) -> tuple[int, int]:
    try:
        status = Path(sys.modules[name].__file__ or "").stat()
    except (OSError, AttributeError):
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _scripts(net: nn.Module) -> Iterator[str]:
    """Of every ScriptModule in it 16 digits over its code and constants; weights are hashed apart."""
    inside: set[int] = set()
    for module in net.modules():
        if isinstance(module, torch.jit.ScriptModule) and id(module) not in inside:
            inside |= {id(part) for part in module.modules()}
            digest = hashlib.sha256()
            with zipfile.ZipFile(io.BytesIO(module.save_to_buffer())) as archive:
                for name in sorted(archive.namelist()):
                    inner = name.partition("/")[2]
                    if inner == "data.pkl" or (inner.startswith(("code/", "constants")) and ".debug" not in inner):
                        # classes get a number where another of their name was loaded before
                        text = re.sub(rb"___torch_mangle_\d+\.?/?", b"", inner.encode() + b"\0" + archive.read(name))
                        digest.update(hashlib.sha256(text).digest())
            yield digest.hexdigest()[:16]


@contextmanager
def running(what: str) -> Iterator[None]:
    """Run code that is not ours: what goes wrong in it is told with its innermost line, as `BadValue`.

    Memory that is not there is not its fault: such an error passes; CUDA has a class for it, MPS says it in words.
    """
    try:
        yield
    except (ImportError, UserError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if "out of memory" in str(error):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        others = (__file__, importlib.__file__, "<frozen ", "site-packages")
        own = [frame for frame in frames if not any(name in frame.filename for name in others)]
        where = f" in line {own[-1].lineno} of {own[-1].filename}" if own else ""
        raise BadValue(f"{what} failed{where}: {type(error).__name__}: {error}") from error
