"""What the commands of `python -m store` do."""

import json
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from store import inventory, removal, verify
from store.errors import BadValue, FormatError, MissingFeatures
from store.fingerprint import IMPORTED
from store.flags import check_number
from store.inventory import COMMITTED, NEWER, WRITING, StoredSet
from store.keys import dataset_name, user_path
from store.listing import Listing, is_retired, read_listing
from store.opening import import_command
from store.root import Root, list_command, open_root
from store.runtime import Progress
from store.tables import bytes_text, printable, text_table
from store.verify_results import Found, told_of, verify_backbones, verify_results

DAY_SECONDS = 86400.0


def _find(root: Root, options: Namespace) -> list[StoredSet]:
    is_glob = set("*?[") & set(options.dataset or "") and ":" not in options.dataset
    dataset = options.dataset if is_glob or not options.dataset else dataset_name(options.dataset)
    found = inventory.find_sets(root, options.sets, dataset=dataset, split=options.split)
    if not found and (dataset or options.split):
        have = sorted({f"{stored.key.dataset}/{stored.key.split}" for stored in inventory.find_sets(root)})
        asked = f"{dataset or '*'}/{options.split or '*'}"
        raise MissingFeatures(f"no feature sets of {asked} in {root.url}; there are: {', '.join(have[:10]) or 'none'}")
    return found


def ls(options: Namespace) -> int:
    root = open_root(options.store)
    found = _find(root, options)
    if options.json:
        print(json.dumps([stored.to_json() for stored in found], indent=1))
    elif found:
        print(_table(root, found))
    else:
        where = printable(root.url)
        print(f"nothing in {where}; `python -m extract --list` shows what can be extracted", file=sys.stderr)
    return 0


def _table(root: Root, found: Sequence[StoredSet]) -> str:
    header = ["dataset", "split", "backbone", "fingerprint", "view", "N", "D", "size", "state"]
    rows, listings = [], {name: _listing(root, name) for name in {stored.key.dataset for stored in found}}
    for stored in found:
        part = f" {stored.blocks}/{stored.num_blocks}" if stored.num_blocks and stored.state != COMMITTED else ""
        key = stored.key
        rows.append([
            key.dataset, key.split, key.backbone, stored.fingerprint[:8], stored.view,
            stored.num_samples or "-", stored.dim or "-", bytes_text(stored.bytes),
            stored.state + part + _not_of_today(stored, listings[key.dataset]),
        ])  # fmt: skip
    return text_table(header, rows)


def _listing(root: Root, dataset: str) -> Listing | None:
    with suppress(FormatError):  # `store verify` tells
        return read_listing(root, dataset)
    return None


def _not_of_today(stored: StoredSet, listing: Listing | None) -> str:
    """Why a committed set is not what its name means today: `store rm` may remove it."""
    if not listing or not stored.manifest:
        return ""
    if is_retired(listing, stored.key.split):
        return ", split gone"
    present = listing.splits[stored.key.split]
    return ", earlier samples" if present and stored.manifest.samples != present else ""


def show(options: Namespace) -> int:
    root = open_root(options.store)
    if not options.sets:
        raise BadValue(f"show what? name a set as `{list_command(root.url)}` lists it: dataset/split/backbone")
    told = [_describe(root, stored) for stored in _find(root, options)]
    if options.json:
        print(json.dumps(told, indent=1))
        return 0
    for i, fields in enumerate(told):
        if i:
            print()
        for name, value in fields.items():
            if isinstance(value, dict):
                print(f"{name}:" if value else f"{name}: none")
                for key, item in value.items():
                    print(f"  {key}: {item if isinstance(item, str) else json.dumps(item)}")
            else:
                print(f"{name}: {value}")
    return 0


def _describe(root: Root, stored: StoredSet) -> dict[str, object]:
    if stored.manifest is None:
        return stored.to_json()
    from store.features import FeatureSet

    manifest, samples = stored.manifest, FeatureSet(root, stored.folder).samples
    targets = {
        name: f"{len(column.classes)} classes, hash {column.hash[:8]}" for name, column in samples.targets.items()
    }
    return {
        **asdict(manifest),
        "targets": targets,
        "size": bytes_text(stored.bytes),
        "folder": f"{root.url}/{stored.folder}",
    }


def verify_sets(options: Namespace) -> int:
    root, results = open_root(options.store), Found()
    found = _find(root, options)
    everything = not (options.sets or options.dataset or options.split)
    if everything:
        verify_results(root, results)
    if not found and not results.counts.total() and not results.findings:
        raise MissingFeatures(f"nothing to verify in {root.url}: is that the --store?")
    if everything:
        verify_backbones(user_path(options.backbones), results)
    left = {WRITING: "is being written", NEWER: "is of a newer version: pip install --upgrade motherlode"}
    for stored in found:
        if stored.state in left:
            print(f"not verified: {stored.name} {left[stored.state]}", file=sys.stderr)
    found = [stored for stored in found if stored.state not in left]
    findings, lists = list[verify.Finding](), set[str]()
    with Progress(sum(stored.num_samples for stored in found), "verify", "rows") as progress:
        for stored in found:
            findings += verify.verify_set(root, stored, progress.update, lists)
    findings += results.findings
    if options.repair:
        verify.repair(root, findings)
    if options.json:
        told = [{k: v for k, v in asdict(finding).items() if k != "keys"} for finding in findings]
        read = {"sets": len(found), "read": dict(results.counts), "unchecked": results.unchecked}
        print(json.dumps({**read, "findings": told}, indent=1))
    elif not findings:
        print(f"{len(found)} sets, {sum(stored.blocks for stored in found)} blocks: all as written")
    else:
        rows = [(f.name, f"{f.rows[0]}-{f.rows[1]}" if f.rows else "none", f.what) for f in findings]
        print(text_table(["set", "rows lost", "what"], rows))
        if damaged := [stored for stored in found if stored.name in {f.name for f in findings}]:
            print(_advice(root, damaged, options.repair))
    if results.counts or results.unchecked:
        print(told_of(results), file=sys.stderr)
    return int(any(not (options.repair and finding.keys) for finding in findings))


def _advice(root: Root, damaged: Sequence[StoredSet], repaired: bool) -> str:
    place = "" if root.url == "data/features" else f" --store {shlex.quote(root.url)}"
    lines = ["", "Removed what is damaged. To make it again:" if repaired else "To repair, making again only these:"]
    if not repaired:
        lines.append(f"  python -m store verify --repair {' '.join(stored.name for stored in damaged)}{place}")
    for stored in damaged:
        key, manifest = stored.key, stored.manifest
        if manifest and manifest.parts.get("architecture") == IMPORTED:
            lines.append(f"  {import_command(root, key, key.dataset)}")
        else:
            source = str(manifest.provenance.get("source", key.dataset)) if manifest else key.dataset
            lines.append(f"  python -m extract --backbone {key.backbone} "
                         f"--dataset {shlex.quote(source)} --split {key.split}{place}")  # fmt: skip
    return "\n".join(lines)


def _confirm(question: str, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise BadValue(f"{question} Say so with --yes: there is no terminal to ask")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def rm(options: Namespace) -> int:
    root = open_root(options.store)
    if not (options.sets or options.dataset or options.split):
        raise BadValue(f"remove what? name sets as `{list_command(root.url)}` lists them, or --dataset, --split")
    found = _find(root, options)
    for stored in found:
        if stored.state != COMMITTED and inventory.being_written(root, stored.folder):
            raise BadValue(f"{stored.name} is being written: stop that run first; nothing was removed")
        if link := root.link(stored.folder):
            raise BadValue(
                f"{stored.name} lies behind a link, {link}, which is never followed: give the --store where it truly "
                "lies, or remove the link itself; nothing was removed"
            )
    if not found:
        raise BadValue(f"nothing to remove in {root.url}: `{list_command(root.url)}` lists what is there")
    print(_table(root, found), file=sys.stderr)
    size = bytes_text(sum(stored.bytes for stored in found))
    if not _confirm(f"Remove these {len(found)} feature sets, {size}?", options.yes):
        print("nothing was removed", file=sys.stderr)
        return 1
    for stored in found:
        removal.remove_set(root, stored.folder)
        print(f"removed {stored.name}")
    return 0


def gc(options: Namespace) -> int:
    check_number("--age", options.age, 0, 1e6)
    root, seconds = open_root(options.store), options.age * DAY_SECONDS
    found = removal.find_garbage(root, seconds)
    for key, why in found.left.items():
        print(f"left: {key} ({why})", file=sys.stderr)
    for key in found.keys:
        print(key)
    if not found.keys:
        print(f"nothing older than {options.age:g} days to collect in {printable(root.url)}", file=sys.stderr)
    elif not _confirm(f"Remove these {len(found.keys)}?", options.yes):
        return 1
    else:
        removal.collect(root, found, seconds)
    return 0


def import_features(options: Namespace) -> int:
    from store.exchange import ImportOptions, import_file

    chosen = ImportOptions(
        labels=None if options.labels is None else Path(options.labels),
        ids=options.ids,
        partial=options.partial,
        dtype=options.dtype,
        skip_bad=options.skip_bad,
        relabel=options.relabel,
        backend=options.backend,
    )
    root = open_root(options.store)
    for made in import_file(root, Path(options.file), options.dataset, options.backbone, options.split, chosen):
        bad = f", {len(made.bad_rows)} bad rows" if len(made.bad_rows) else ""
        name = f"{made.manifest.key}@{made.manifest.fingerprint[:8]}"
        print(f"{name}  {made.shape[0]} x {made.shape[1]} {made.manifest.dtype}{bad}")
    return 0


def export_features(options: Namespace) -> int:
    from store.exporting import export_file

    path = Path(options.file)
    rows, dim = export_file(
        open_root(options.store), path, options.dataset, options.split, options.features,
        dtype=options.dtype, overwrite=options.overwrite,
    )  # fmt: skip
    print(f"{printable(str(path))}  {rows} x {dim}")
    return 0


def check_installation(options: Namespace) -> int:
    from store.doctor import doctor

    return doctor(options)


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "ls": ls,
    "show": show,
    "verify": verify_sets,
    "rm": rm,
    "gc": gc,
    "doctor": check_installation,
    "import": import_features,
    "export": export_features,
}
