"""The ground floor: feature sets on disk. numpy, zarr and h5py; no torch."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Concat", "FeatureSet", "UserError", "open_features"]

if TYPE_CHECKING:
    from store.concat import Concat, open_features
    from store.errors import UserError
    from store.features import FeatureSet


def __getattr__(name: str) -> Any:
    # numpy loads at the first use, so that --help answers at once
    modules = {"Concat": "concat", "open_features": "concat", "FeatureSet": "features", "UserError": "errors"}
    if name in modules:
        from importlib import import_module

        return getattr(import_module(f"store.{modules[name]}"), name)
    raise AttributeError(f"module 'store' has no attribute {name!r}")
