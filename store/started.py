"""started.json: what the first run of a feature set decided, which every later run takes over."""

import json
from collections.abc import Mapping
from typing import Any

from store.errors import FormatError
from store.fingerprint import sealed, sha256_json
from store.json_text import parse_json
from store.root import Root

_FIELDS: dict[str, type] = {"parts": dict, "choices": dict, "block_rows": int, "backend": str}


def write_started(root: Root, folder: str, plan: Mapping[str, Any]) -> None:
    """Write what this run decided, and the hash over it, unless another run was first."""
    values = json.loads(json.dumps(plan))  # as a reader will see it
    root.put_new(f"{folder}/started.json", json.dumps(sealed(values), indent=1).encode())


def read_started(root: Root, folder: str) -> dict[str, Any]:
    """`parts`, `choices`, `block_rows` and `backend` of the set in `folder`. An older one has no hash, and is taken.

    Raises `FileNotFoundError`: no run began; `FormatError`: damaged, or of another set.
    """
    try:
        values = parse_json(root.get(f"{folder}/started.json"))
    except ValueError:
        values = None
    whole = isinstance(values, dict) and all(isinstance(values.get(name), kind) for name, kind in _FIELDS.items())
    checked = whole and values.keys() != _FIELDS.keys()
    if not whole or (checked and values != sealed(values)) or sha256_json(values["parts"]) != folder.rpartition("/")[2]:
        raise FormatError(f"{root.url}/{folder}/started.json is damaged: remove the set with `python -m store rm`")
    return {name: values[name] for name in _FIELDS}
