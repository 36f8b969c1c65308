"""The manifest: what a feature set is. It is written last, and its presence is the commit."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from store.errors import FormatError, NewerFormat
from store.fingerprint import sha256_json
from store.json_text import parse_json
from store.keys import FeatureKey, from_folder
from store.root import Root

FORMAT = 1
"""The on-disk format, docs/FORMAT.md. A reader refuses a higher number."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    dataset: str
    split: str
    backbone: str
    fingerprint: str
    parts: Mapping[str, Any]
    """What the fingerprint hashes: store/fingerprint.py."""
    samples: str
    """Samples id."""
    num_samples: int
    """N"""
    dim: int
    """D"""
    dtype: str
    block_rows: int
    backend: str
    """zarr or hdf5"""
    checksums: str
    """sha256 over the CRC-32C of every block, which are the column `checksums` beside the manifest."""
    content: str
    """sha256 over the hashes of every image's bytes, in order: tells a changed picture under an old name."""
    bad_rows: Mapping[str, str] = field(default_factory=dict)
    """row -> why its image could not be read; its features are NaN and every concat masks it."""
    precision: Mapping[str, Any] = field(default_factory=dict)
    """Measured against float32 on the first rows."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Versions, machine, command, date: told, not hashed into the fingerprint."""
    format: int = FORMAT

    @property
    def key(self) -> FeatureKey:
        return FeatureKey(self.dataset, self.split, self.backbone)

    @property
    def made_at(self) -> float:
        """When the set was committed, seconds since 1970; 0 where it does not tell."""
        try:
            return datetime.fromisoformat(str(self.provenance.get("created"))).timestamp()
        except ValueError:
            return 0.0

    @property
    def num_blocks(self) -> int:
        return -(-self.num_samples // self.block_rows)

    def to_json(self) -> str:
        values = json.loads(json.dumps(asdict(self)))  # tuples become lists before they are hashed
        return json.dumps({**values, "manifest_sha256": sha256_json(values)}, indent=1)

    @staticmethod
    def from_json(text: str | bytes, where: str) -> "Manifest":
        """Read and check a manifest. Raises `FormatError`: damaged, or edited by hand; `NewerFormat`."""
        try:
            values = parse_json(text)
        except ValueError as error:
            raise FormatError(f"{where} is not JSON ({error}): run `python -m store verify`") from error
        if not isinstance(values, dict) or not isinstance(values.get("format"), int):
            raise FormatError(f"{where} is not a manifest: run `python -m store verify`")
        if values["format"] > FORMAT:
            raise NewerFormat(
                f"{where} has format {values['format']}, this version reads up to {FORMAT}: "
                "pip install --upgrade motherlode"
            )
        claimed = values.pop("manifest_sha256", None)
        if claimed != sha256_json(values):
            raise FormatError(
                f"{where} was changed after it was written: restore it, "
                "or `python -m store rm` the set and extract it again"
            )
        need = {item.name for item in fields(Manifest)}
        if need != values.keys():
            odd = ", ".join(sorted(need ^ values.keys()))
            raise FormatError(f"{where} has missing or unknown fields: {odd}")
        if values["fingerprint"] != sha256_json(values["parts"]):
            raise FormatError(f"{where}: fingerprint {values['fingerprint']} does not belong to its parts")
        if values["samples"] != values["parts"].get("samples"):
            raise FormatError(f"{where}: samples {values['samples']} are not those of the fingerprint")
        return Manifest(**values)


def read_manifest(root: Root, folder: str) -> Manifest:
    """The manifest of a feature set in `folder`, whose place it has to name.

    Raises `FileNotFoundError`: not committed; `FormatError`: damaged, or that of another set; `NewerFormat`.
    """
    where = f"{root.url}/{folder}/manifest.json"
    manifest = Manifest.from_json(root.get(f"{folder}/manifest.json"), where)
    if f"{manifest.key.folder}/{manifest.fingerprint}" != folder:
        dataset, split, backbone, fingerprint = map(from_folder, folder.split("/")[1:])
        raise FormatError(
            f"{where} belongs to {manifest.key}@{manifest.fingerprint[:8]}: sets cannot be renamed or copied inside a "
            f"store. Put it back, or `python -m store rm {dataset}/{split}/{backbone}@{fingerprint[:8]}` and extract "
            "again"
        )
    return manifest
