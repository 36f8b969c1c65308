"""A record: what one run did and found. The report reads nothing else."""

import json
import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from store.keys import check_name
from store.root import Root
from store.runtime import versions

log = logging.getLogger("store")


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


def read_records(root: Root, kind: str) -> Iterator[Record]:
    """Every record of a kind, oldest first; one that cannot be read is logged and skipped."""
    need = {item.name for item in fields(Record)}
    for name in sorted(root.list(f"records/{kind}")):
        where = f"records/{kind}/{name}"
        try:
            values = json.loads(root.get(where))
            if not isinstance(values, dict) or not need <= values.keys():
                raise ValueError("fields are missing")  # noqa: TRY301
            yield Record(**{name: values[name] for name in need})
        except (ValueError, FileNotFoundError) as error:
            log.warning("%s/%s is skipped: not a record (%s)", root.url, where, error)
