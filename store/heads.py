"""Heads on disk: one linear map each, `heads/<id>.npz`; arrays and one JSON text, nothing that could run code."""

import hashlib
import io
import json
import logging
import secrets
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from store.errors import FormatError, MissingFeatures
from store.fingerprint import SEAL, sealed, sha256_json
from store.json_text import parse_json
from store.keys import check_name, to_folder
from store.root import Root

log = logging.getLogger("store")
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
    """Store a head and a hash over it, under `name` (in place of what was there) or a new id; returns that."""
    name = name or secrets.token_hex(4)
    buffer = io.BytesIO()
    arrays = {f"step.{key}": np.asarray(value) for key, value in head.arrays.items()}
    arrays["weight"], arrays["bias"] = np.asarray(head.weight, np.float32), np.asarray(head.bias, np.float32)
    info = json.loads(json.dumps({"format": FORMAT, **head.info}))  # as a reader will see it
    text = json.dumps(sealed({**info, "id": name, "arrays": _hashes(arrays)})).encode()
    arrays["info"] = np.frombuffer(text, np.uint8)
    np.savez(buffer, allow_pickle=False, **arrays)
    root.put(_key(name), buffer.getvalue())
    return name


def load_head(root: Root, name: str) -> StoredHead:
    """Read a head. Never unpickles. One of an earlier version, which kept no hash of it, is told and read.

    Raises `MissingFeatures`: no head of that id; `FormatError`: not a head, another or a changed one, a newer version.
    """
    head, checked = read_head(root, name)
    if not checked:
        log.warning("head %s is of an earlier version, which kept no hash of it: it is applied unchecked", name)
    return head


def read_head(root: Root, name: str) -> tuple[StoredHead, bool]:
    """`load_head` without words: the head, and whether its hash was there and right."""
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
        checked = SEAL in info
        if checked and info.get("id") != name:
            raise ValueError(f"it is the head {info.get('id')!r}, which cannot be renamed")  # noqa: TRY301
        if checked and (info != sealed(info) or info["arrays"] != _hashes({**arrays, "weight": weight, "bias": bias})):
            raise ValueError("it was changed after it was written")  # noqa: TRY301
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        why = "" if "pickle" in str(error) else f" ({error})"  # numpy's advice there is to load it unsafely
        raise FormatError(f"{where} is not a head{why}: restore it, or probe again") from error
    info = {key: value for key, value in info.items() if key not in (SEAL, "id", "arrays")}
    steps = {key.removeprefix("step."): value for key, value in arrays.items()}
    return StoredHead(weight=weight, bias=bias, arrays=steps, info=info), checked


def _hashes(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """SHA-256 of each array's dtype, shape and values."""
    return {
        name: sha256_json([a.dtype.str, list(a.shape), hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()])
        for name, a in arrays.items()
    }


def _key(name: str) -> str:
    return f"heads/{to_folder(check_name('head', name))}.npz"
