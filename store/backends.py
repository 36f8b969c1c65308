"""The backends: modules with the same functions, `create`, `open_blocks`, `publish` and `wrongly_published`."""

from types import ModuleType

from store import hdf5_blocks, zarr_blocks
from store.errors import UnknownName

BACKENDS: dict[str, ModuleType] = {"zarr": zarr_blocks, "hdf5": hdf5_blocks}


def backend(name: str) -> ModuleType:
    if name not in BACKENDS:
        raise UnknownName("backend", name, BACKENDS, f"there are: {', '.join(BACKENDS)}")
    return BACKENDS[name]
