"""A record: what one run did and found. The report reads nothing else."""

import json
import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from store.json_text import parse_json
from store.keys import check_name
from store.root import Root
from store.runtime import versions

log = logging.getLogger("store")
READERS = 16
"""Records that are fetched at a time."""


@dataclass(frozen=True, kw_only=True)
class Record:
    kind: str
    """extract, probe, fewshot, ..."""
    config: Mapping[str, Any]
    """What the user asked for: the flags."""
    features: Sequence[Mapping[str, Any]] = ()
    """Every feature set that was used: dataset, split, backbone, fingerprint."""
    targets: Mapping[str, str] = field(default_factory=dict)
    """split:column -> hash of the targets that were used."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Stage -> wall seconds."""
    versions: Mapping[str, str] = field(default_factory=versions)
    created: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"))
    id: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def key(self) -> str:
        return f"records/{check_name('record kind', self.kind)}/{self.created}-{self.id}.json"


def write_record(root: Root, record: Record) -> Record:
    """Store a record; returns it, for its id."""
    root.put(record.key, json.dumps(asdict(record), indent=1, default=_plain).encode())
    return record


def _plain(value: Any) -> Any:
    """Numpy numbers and arrays as JSON numbers and lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} does not belong in a record")


def read_records(root: Root, kind: str, skipped: list[tuple[str, str]] | None = None) -> Iterator[Record]:
    """Every record of a kind, oldest first; one that cannot be read is logged and skipped.

    Args:
        skipped: where to note (key, why) of those, instead of logging them.
    """
    found = sorted(root.list(f"records/{kind}").items())
    keys = [f"records/{kind}/{name}" for name, size in found if size is not None and not name.startswith(".")]
    for key, text in zip(keys, _get_all(root, keys), strict=True):
        try:
            yield _parse(text)
        except ValueError as error:
            if skipped is None:
                log.warning("%s/%s is skipped: not a record (%s)", root.url, key, error)
            else:
                skipped.append((key, str(error)))


def _get_all(root: Root, keys: Sequence[str]) -> Iterator[bytes]:
    """Object stores answer slowly, but many at once; for files threads only cost."""
    if not keys or root.path(keys[0]) is not None:
        yield from map(partial(_get, root), keys)
        return
    with ThreadPoolExecutor(READERS) as pool:
        yield from pool.map(partial(_get, root), keys)


def _get(root: Root, key: str) -> bytes:
    try:
        return root.get(key)
    except FileNotFoundError:
        return b""


def _parse(text: bytes) -> Record:
    """Raises `ValueError`: not a record."""
    values = parse_json(text)
    missing = _FIELDS.keys() - values.keys() if isinstance(values, dict) else set(_FIELDS)
    if missing:
        raise ValueError(f"fields are missing: {', '.join(sorted(missing))}")
    odd = [name for name, kind in _FIELDS.items() if not isinstance(values[name], kind)]
    if odd:
        raise ValueError(f"fields of another type: {', '.join(odd)}")
    return Record(**{name: values[name] for name in _FIELDS})


_FIELDS: dict[str, type] = {
    "kind": str, "config": dict, "features": list, "targets": dict, "metrics": dict, "seconds": dict,
    "versions": dict, "created": str, "id": str,
}  # fmt: skip
