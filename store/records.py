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

from store.fingerprint import SEAL, sealed
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
    """Store a record and the hash over it; returns it, for its id."""
    values = json.loads(json.dumps(asdict(record), default=_plain))  # as a reader will see it
    root.put(record.key, json.dumps(sealed(values), indent=1).encode())
    return record


def _plain(value: Any) -> Any:
    """Numpy numbers and arrays as JSON numbers and lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} does not belong in a record")


def read_records(
    root: Root, kind: str, skipped: list[tuple[str, str]] | None = None, unchecked: list[str] | None = None
) -> Iterator[Record]:
    """Every record of a kind, oldest first; one that cannot be read, or was changed, is logged and skipped.

    Args:
        skipped: where to note (key, why) of those, instead of logging them.
        unchecked: where to note the keys of records of earlier versions, which kept no hash, instead of logging them.
    """
    found = {name: size for name, size in sorted(root.list(f"records/{kind}").items()) if not name.startswith(".")}
    keys = [f"records/{kind}/{name}" for name, size in found.items() if size is not None]
    old, odd = list[str](), [] if skipped is None else skipped
    odd += [(f"records/{kind}/{name}", "a folder") for name in found if f"records/{kind}/{name}" not in keys]
    for key, text in zip(keys, _get_all(root, keys), strict=True):
        try:
            record, checked = _parse(text)
            if record.key != key:
                raise ValueError(f"it is that of {record.key}, which cannot be renamed or copied")  # noqa: TRY301
        except ValueError as error:
            odd.append((key, str(error)))
            continue
        if not checked:
            old.append(key)
        yield record
    if skipped is None:
        for key, why in odd:
            log.warning("%s/%s is skipped: %s. Restore it, or remove it and run its command again", root.url, key, why)
    if unchecked is None:
        tell_unchecked(root, old)
    else:
        unchecked += old


def tell_unchecked(root: Root, keys: Sequence[str]) -> None:
    """Log, in one line, that records of earlier versions were read."""
    if keys:
        log.warning(
            "%s: %d records, first %s, are of an earlier version, which kept no hash of them: they are read unchecked",
            root.url,
            len(keys),
            keys[0],
        )


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


def _parse(text: bytes) -> tuple[Record, bool]:
    """The record, and whether its hash was there and right. Raises `ValueError`: not a record, or changed."""
    try:
        values = parse_json(text)
    except ValueError as error:
        raise ValueError(f"not a record ({error})") from error
    missing = _FIELDS.keys() - values.keys() if isinstance(values, dict) else set(_FIELDS)
    if missing:
        raise ValueError(f"not a record (fields are missing: {', '.join(sorted(missing))})")
    checked = SEAL in values or bool(values.keys() - _FIELDS.keys())  # before there was a hash, there were these fields
    if checked and values != sealed(values):
        raise ValueError("it was changed after it was written")
    odd = [name for name, kind in _FIELDS.items() if not isinstance(values[name], kind)]
    if odd:
        raise ValueError(f"not a record (fields of another type: {', '.join(odd)})")
    return Record(**{name: values[name] for name in _FIELDS}), checked


_FIELDS: dict[str, type] = {
    "kind": str, "config": dict, "features": list, "targets": dict, "metrics": dict, "seconds": dict,
    "versions": dict, "created": str, "id": str,
}  # fmt: skip
