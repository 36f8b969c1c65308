"""Read back what runs found (records, heads, Gram blocks, predictions) and trained, and say what was changed."""

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from store.errors import UserError
from store.fingerprint import sha256_json
from store.heads import read_head
from store.inventory import folders
from store.json_text import parse_json
from store.keys import from_folder
from store.listing import read_listing
from store.records import read_records
from store.root import Root
from store.verify import Finding

_MEND = "restore it, or remove it and run its command again"


@dataclass
class Found:
    """What was read, and what is not as it was written."""

    counts: Counter[str] = field(default_factory=Counter)
    """How many of each kind are as they were written."""
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    """Keys of what earlier versions wrote without a hash."""

    def wrong(self, name: str, what: object, keys: tuple[str, ...] = ()) -> None:
        self.findings.append(Finding(name, f"{what}: {_MEND}" if not keys else f"{what}: it is made again", keys=keys))


def verify_results(root: Root, found: Found) -> None:
    """Read every record, head, Gram block, file of predictions and listing of a dataset in a store."""
    for key in _files(root, "datasets", found):
        try:
            read_listing(root, from_folder(key.removeprefix("datasets/").removesuffix(".json")))
            found.counts["listings"] += 1
        except UserError as error:
            found.findings.append(Finding(key, str(error)))
    for kind in folders(root, "records"):
        skipped = list[tuple[str, str]]()
        found.counts["records"] += sum(1 for _ in read_records(root, kind, skipped, found.unchecked))
        for key, why in skipped:
            found.wrong(key, why)
    for key in _files(root, "heads", found):
        name = from_folder(key.removeprefix("heads/").removesuffix(".npz"))
        try:
            _, checked = read_head(root, name)
        except UserError as error:
            found.findings.append(Finding(key, str(error)))
            continue
        found.counts["heads"] += 1
        found.unchecked += [] if checked else [key]
    for key in _grams(root, found):
        try:
            _check_gram(root, key)
            found.counts["Gram blocks"] += 1
        except Exception as error:  # noqa: BLE001  # numpy and zipfile raise what they like on damaged files
            found.wrong(key, error, (key,))
    for key in _files(root, "predictions", found):
        try:
            _check_predictions(root, key)
            found.counts["predictions"] += 1
        except Exception as error:  # noqa: BLE001  # as pyarrow does
            found.wrong(key, error)


def _files(root: Root, below: str, found: Found) -> Iterator[str]:
    for name, size in sorted(root.list(below).items()):
        if size is None:
            found.wrong(f"{below}/{name}", "a folder is in its place")
        elif not name.startswith("."):
            yield f"{below}/{name}"


def _grams(root: Root, results: Found) -> Iterator[str]:
    """Keys grams/<dataset>/<split>/<rows>/<set>/<other>.npz."""
    found = ["grams"]
    for _ in range(4):
        found = [f"{folder}/{name}" for folder in found for name in folders(root, folder)]
    for folder in found:
        yield from _files(root, folder, results)


def _check_gram(root: Root, key: str) -> None:
    with np.load(io.BytesIO(root.get(key)), allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}  # each array's CRC-32 is checked
    info, (rows, one, other) = parse_json(found["info"].tobytes()), key.removesuffix(".npz").split("/")[-3:]
    if (info["rows"], info["sets"]) != (rows, [one, other]):
        raise ValueError("it is another block")


def _check_predictions(root: Root, key: str) -> None:
    """Raises whatever pyarrow does. Where that is not installed, only whether the file ends where it should."""
    data = root.get(key)
    try:
        import pyarrow.parquet as pq
    except ImportError:
        if data[:4] != b"PAR1" or data[-4:] != b"PAR1":
            raise ValueError("no Parquet file") from None
        return
    pq.read_table(io.BytesIO(data), page_checksum_verification=True)


def verify_backbones(top: Path, found: Found) -> None:
    """Read every backbone that was trained here: its description, and the files whose hash that holds."""
    for description in sorted([*top.glob("*/backbone.json"), *top.glob("*/e*/backbone.json")]):
        folder = description.parent
        try:
            made = parse_json(description.read_bytes())
            plain = {key: value for key, value in made.items() if key != "backbone_sha256"}
            checked = "backbone_sha256" in made or "head_sha256" in made
            if checked and made.get("backbone_sha256") != sha256_json(plain):
                raise ValueError("it was changed after it was written")  # noqa: TRY301
            hashes = {"weights.safetensors": made["weights_sha256"], "head.safetensors": made.get("head_sha256")}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            found.findings.append(Finding(str(description), f"{error}: restore it, or remove {folder} and train again"))
            continue
        wrong = [name for name, sha256 in hashes.items() if sha256 and _sha256(folder / name) != sha256]
        for name in wrong:
            found.findings.append(
                Finding(
                    str(folder / name), f"not what backbone.json says: restore it, or remove {folder} and train again"
                )
            )
        found.counts["backbones"] += not wrong
        found.unchecked += [] if checked else [str(description)]


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return str(error)


def told_of(found: Found) -> str:
    """What was read besides feature sets, in a line or two."""
    counts = ", ".join(f"{count} {what}" for what, count in found.counts.items() if count) or "no results"
    lines = [f"also as written: {counts}"]
    if found.unchecked:
        lines.append(
            f"unchecked, because an earlier version wrote them without a hash: {len(found.unchecked)}, first "
            f"{found.unchecked[0]}"
        )
    return "\n".join(lines)
