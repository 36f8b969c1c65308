"""Read a pickle that someone else wrote, without ever running or importing anything it names.

Tensors become `StoredTensor`s, containers stay, and every object of a class that is not plain data becomes an inert
stand-in: checkpoints of VISSL hold hooks, losses and meters of packages that are not installed. A pickle that asks for
a function of Python itself (`os.system`, `eval`, ...) is hostile, and refused.
"""

import builtins
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch

from extract.checkpoints.stored import Span, StoredTensor
from store.errors import BadValue

STORAGE_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
DTYPES = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
BUILTINS = ("builtins", "__builtin__", "commands", "cPickle")
"""Names of Python 2 too."""
HARMLESS = frozenset(
    {"_codecs", "_thread", "argparse", "array", "collections", "copyreg", "datetime", "decimal", "enum", "fractions"}
    | {"functools", "logging", "numbers", "pathlib", "random", "re", "string", "threading", "time", "types", "typing"}
    | {"uuid", "weakref"}
)
"""Modules of the standard library whose objects honest checkpoints hold; stood in for, never called."""


class Storage(NamedTuple):
    """One storage of a checkpoint: `key` names its bytes, `elements` is its length."""

    dtype: torch.dtype
    key: str
    elements: int


Place = Callable[[Storage], Span]
"""Where a storage's bytes lie in the file."""


class Inert:
    """Stands in for an object that is of no use here; swallows whatever a pickle does with it."""

    def __new__(cls, *_args: object, **_kwargs: object) -> "Inert":
        return object.__new__(cls)

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass

    def __setitem__(self, _key: object, _value: object) -> None:
        pass

    def append(self, _item: object) -> None:
        pass

    def extend(self, _items: object) -> None:
        pass


class PendingTensor(NamedTuple):
    """A tensor of the pickle, before it is known where the storages lie."""

    storage: Storage
    first: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Reader(pickle.Unpickler):
    """One pickle of `path`; `load()` gives plain data with `PendingTensor`s."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file, encoding="utf-8")
        self.path = path
        self.storages: dict[str, Storage] = {}
        """Every storage that the pickle named, also those that no tensor uses."""

    def find_class(self, module: str, name: str) -> Any:
        if (known := self._known(module, name)) is not None:
            return known
        top = module.partition(".")[0]
        plain_type = top in BUILTINS and isinstance(getattr(builtins, name, None), type)
        if (top in BUILTINS or top in sys.stdlib_module_names) and top not in HARMLESS and not plain_type:
            raise BadValue(
                f"{self.path}: refused, nothing of it was run: its pickle asks for {module}.{name}, which no weights "
                "need and which could run code; fetch the file again from its own source"
            )
        return type(name.rpartition(".")[2] or "Inert", (Inert,), {"__module__": module})

    def _known(self, module: str, name: str) -> Any:
        """What a name of honest weights means here; None: nothing."""
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if module.partition(".")[0] == "torch":
            return STORAGE_DTYPES.get(name) or self._rebuilders().get(name)
        return {
            ("collections", "OrderedDict"): OrderedDict,
            ("builtins", "set"): set,
            ("__builtin__", "set"): set,
        }.get((module, name))

    def persistent_load(self, saved: Any) -> Any:
        match saved:
            case ("storage", torch.dtype() as dtype, str(key), _, int(elements), *rest) if rest in ([], [None]):
                return self.storages.setdefault(key, Storage(dtype, key, elements))
        return Inert()

    def _rebuilders(self) -> dict[str, Any]:
        # bound methods: a pickle cannot set attributes on them
        return {
            "_rebuild_tensor": self._rebuild_tensor,
            "_rebuild_tensor_v2": self._rebuild_tensor,
            "_rebuild_tensor_v3": self._rebuild_tensor_v3,
            "_rebuild_parameter": self._rebuild_parameter,
            "_rebuild_parameter_with_state": self._rebuild_parameter,
            "_rebuild_from_type_v2": self._rebuild_from_type,
            "Size": tuple,
        }

    def _rebuild_tensor(
        self, storage: Any, first: Any, shape: Any, stride: Any, _grad: Any = None, _hooks: Any = None,
        bits: Any = None, *_: object,
    ) -> Any:  # fmt: skip
        if not isinstance(storage, Storage):
            return Inert()
        if bits:
            raise BadValue(
                f"{self.path}: a tensor is stored as the negative or the conjugate of its bytes ({bits}), which is not "
                "read here; save it after .resolve_neg() and .resolve_conj()"
            )
        numbers = (first, *shape, *stride)
        if len(shape) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
            raise BadValue(
                f"{self.path}: a tensor has shape {shape!r:.60}, strides {stride!r:.60} and begins at element "
                f"{first!r:.20} of its storage: no such tensor can be; fetch it again"
            )
        return PendingTensor(storage, first, storage.dtype, tuple(shape), tuple(stride))

    def _rebuild_tensor_v3(
        self, storage: Any, first: Any, shape: Any, stride: Any, grad: Any, hooks: Any, dtype: Any,
        bits: Any = None, *_: object,
    ) -> Any:  # fmt: skip
        tensor = self._rebuild_tensor(storage, first, shape, stride, grad, hooks, bits)
        return tensor._replace(dtype=dtype) if isinstance(tensor, PendingTensor) else tensor

    def _rebuild_from_type(self, rebuild: Any, _type: object, args: Any, *_: object) -> Any:
        """A tensor of a subclass, or one with attributes (`nn.Buffer` is such): the tensor alone is wanted."""
        return rebuild(*args) if rebuild in self._rebuilders().values() else Inert()

    def _rebuild_parameter(self, data: Any, *_: object) -> Any:
        return data


def settle(value: Any, path: Path, place: Place) -> Any:
    """`value` with every `PendingTensor` turned into a `StoredTensor`; only dicts and lists are kept, and walked."""
    if isinstance(value, PendingTensor):
        offset, size, check = place(value.storage)
        skip = value.first * value.dtype.itemsize
        return StoredTensor(path, offset + skip, size - skip, value.dtype, value.shape, value.stride, check)
    if isinstance(value, dict):
        return {key: settle(item, path, place) for key, item in value.items()}
    if isinstance(value, list):
        return [settle(item, path, place) for item in value]
    return value
