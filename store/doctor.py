"""Is this installation sound: what the store can tell, of versions, disk, feature sets and records."""

import json
import os
import time
import uuid
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

from store import inventory
from store.errors import UserError
from store.records import read_records
from store.root import Root, open_root, store_flag
from store.runtime import versions
from store.tables import text_table

TRIAL_BYTES = 64 << 20
SLOW = 50e6
"""Bytes a second below which a disk is worth a word."""
LITTLE = 2e9
"""Free bytes below which a store is."""
OK, NOTE, BAD = "ok", "note", "BAD"


@dataclass(frozen=True)
class Check:
    what: str
    state: str
    """ok; note: works, but know this; BAD: something is broken."""
    told: str


def check_store(root: Root) -> Iterator[Check]:
    """Every check, in order; what fails is told, never raised."""
    yield Check("versions", OK, ", ".join(f"{name} {value}" for name, value in versions().items()))
    for what, check in (("disk", _disk), ("feature sets", _sets), ("records", _records)):
        try:
            yield check(root)
        except (UserError, OSError) as error:
            yield Check(what, BAD, str(error))


def _disk(root: Root) -> Check:
    """Write and read back one object, synced, as a block is."""
    key, data = f"doctor/{uuid.uuid4().hex}", os.urandom(TRIAL_BYTES)
    root = open_root(root.url)  # of its own: the other checks must not see a store come and go
    folder = root.path("doctor")
    new = folder is not None and not folder.parent.exists()
    start = time.perf_counter()
    try:
        root.put(key, data)
        written = time.perf_counter()
        same = root.get(key) == data
        read = time.perf_counter()
    finally:
        with suppress(UserError):
            root.remove(key)
        if new and folder is not None:
            with suppress(OSError):
                folder.parent.rmdir()
    if not same:
        return Check("disk", BAD, f"{root.url}: what was read back is not what was written")
    speeds = TRIAL_BYTES / (written - start), TRIAL_BYTES / (read - written)
    free = root.free_bytes()
    room = "" if free is None else f", {free / 1e9:.1f} GB free"
    state = NOTE if min(speeds) < SLOW or (free is not None and free < LITTLE) else OK
    rates = " and ".join(
        f"{what} {speed / 1e6:.0f} MB/s" for what, speed in zip(("writes", "reads"), speeds, strict=True)
    )
    return Check("disk", state, f"{root.url}: {rates}{room}")


def _sets(root: Root) -> Check:
    found = inventory.find_sets(root)
    if not found:
        return Check(
            "feature sets", NOTE, f"none yet: python -m extract --backbone efficientnet_lite0{store_flag(root)}"
        )
    counts = Counter(stored.state for stored in found)
    told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    size = sum(stored.bytes for stored in found)
    if damaged := [stored.name for stored in found if stored.state == inventory.DAMAGED]:
        return Check(
            "feature sets",
            BAD,
            f"{told}; damaged: {', '.join(damaged[:5])}; run: python -m store verify --repair{store_flag(root)}",
        )
    state = NOTE if counts[inventory.UNFINISHED] else OK
    more = "; unfinished ones go on when the same extract command runs again" if state == NOTE else ""
    return Check(
        "feature sets",
        state,
        f"{told}, {size / 1e9:.2f} GB; every byte is read by: python -m store verify{store_flag(root)}{more}",
    )


def _records(root: Root) -> Check:
    skipped: list[tuple[str, str]] = []
    kinds = sorted(name for name, size in root.list("records").items() if size is None)
    unchecked = list[str]()
    counts = {kind: sum(1 for _ in read_records(root, kind, skipped, unchecked)) for kind in kinds}
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none yet"
    if unchecked:
        told += f"; {len(unchecked)} of an earlier version carry no hash: unchecked"
    if skipped:
        return Check("records", NOTE, f"{told}; skipped: {', '.join(f'{key} ({why})' for key, why in skipped[:5])}")
    return Check("records", OK, told)


def report(checks: Iterable[Check], *, as_json: bool) -> int:
    """Print every check; 1 where something is broken."""
    done = list(checks)
    if as_json:
        print(json.dumps([asdict(check) for check in done], indent=1))
    else:
        print(
            text_table(["", "", ""], [[check.what, check.state, check.told] for check in done])
            .partition("\n")[2]
            .partition("\n")[2]
        )
    return int(any(check.state == BAD for check in done))


def doctor(options: Namespace) -> int:
    """`python -m store doctor`."""
    return report(check_store(open_root(options.store)), as_json=options.json)
