"""What made a feature set, hashed: equal fingerprints mean interchangeable features."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

IMPORTED = "imported"
"""The architecture of features from a file: what made them, their weights above all, is not known."""
RECIPE_VERSION = 1
"""Raised when the meaning of a recipe changes although its fields do not."""


SEAL = "sha256"
"""The field in which a record, or a head's info, holds the hash of its others."""


def canonical_json(value: Any, *, nan: bool = False) -> str:
    """One text for equal values: sorted keys, no spaces, no NaN unless `nan`."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=nan)


def sha256_json(value: Any, *, nan: bool = False) -> str:
    return hashlib.sha256(canonical_json(value, nan=nan).encode()).hexdigest()


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values, which may hold NaN, with the hash over all of them in the field `sha256`."""
    plain = {key: value for key, value in values.items() if key != SEAL}
    return {**plain, SEAL: sha256_json(plain, nan=True)}


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Everything that decides the numbers in a feature set.

    Device, batch size, rank count and library versions do not belong here: they are provenance, in the manifest.
    """

    weights: str
    """sha256 of the weights file, or of the parameters where there is no file."""
    architecture: str
    layer: str
    """The module whose output is pooled; `features` is the last one before the head."""
    pooling: str
    recipe: Mapping[str, Any]
    """Decoder, resize, crop, normalisation and view: extract/images/transforms.py."""
    precision: str
    """Precision class of the forward pass: fp32, bf16, fp16."""
    dtype: str
    """What is stored: float16 or float32."""
    samples: str
    """Samples id: which images, in which order."""
    recipe_version: int = RECIPE_VERSION

    def parts(self) -> dict[str, Any]:
        return asdict(self) | {"recipe": dict(self.recipe)}

    @property
    def hex(self) -> str:
        """64 hex digits; the folder of the set, and what `name@3f9c` picks by."""
        return sha256_json(self.parts())
