"""Heads on disk: one linear map each, `heads/<id>.npz`; arrays and one JSON text, nothing that could run code."""

import io
import json
import secrets
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from store.errors import FormatError, MissingFeatures
from store.json_text import parse_json
from store.keys import check_name, to_folder
from store.root import Root

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class StoredHead:
    """logits (n, C) = normalise(x) @ weight.T + bias, x (n, D) the raw features in the order of `features`."""

    weight: np.ndarray
    """(C, D) float32"""
    bias: np.ndarray
    """(C,) float32"""
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What the steps before the linear map need, named by `info["steps"]`; none for a plain linear head."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: dataset, target, classes, features, networks (head_networks.py), steps, the training's settings."""


def save_head(root: Root, head: StoredHead, name: str | None = None) -> str:
    """Store a head, under `name` (in place of what was there) or a new id; returns that."""
    name = name or secrets.token_hex(4)
    text = json.dumps({"format": FORMAT, **head.info}).encode()
    buffer = io.BytesIO()
    arrays = {f"step.{key}": np.asarray(value) for key, value in head.arrays.items()}
    arrays["weight"], arrays["bias"] = np.asarray(head.weight, np.float32), np.asarray(head.bias, np.float32)
    arrays["info"] = np.frombuffer(text, np.uint8)
    np.savez(buffer, allow_pickle=False, **arrays)
    root.put(_key(name), buffer.getvalue())
    return name


def load_head(root: Root, name: str) -> StoredHead:
    """Read a head. Never unpickles.

    Raises `MissingFeatures`: no head of that id; `FormatError`: not a head, or one of a newer version.
    """
    where = f"{root.url}/{_key(name)}"
    try:
        data = root.get(_key(name))
    except FileNotFoundError:
        have = sorted(key.removesuffix(".npz") for key in root.list("heads"))
        raise MissingFeatures(
            f"no head {name!r} in {root.url}; there is: {', '.join(have) or 'none'}. `python -m probe` stores one a row"
        ) from None
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        info = parse_json(arrays.pop("info").tobytes())
        weight, bias = arrays.pop("weight"), arrays.pop("bias")
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise ValueError(f"weight {weight.shape} and bias {bias.shape} do not fit")  # noqa: TRY301
        if info["format"] > FORMAT:
            raise FormatError(f"{where} has format {info['format']}, this version reads up to {FORMAT}")
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        why = "" if "pickle" in str(error) else f" ({error})"  # numpy's advice there is to load it unsafely
        raise FormatError(f"{where} is not a head{why}") from error
    steps = {key.removeprefix("step."): value for key, value in arrays.items()}
    return StoredHead(weight=weight, bias=bias, arrays=steps, info=info)


def _key(name: str) -> str:
    return f"heads/{to_folder(check_name('head', name))}.npz"
