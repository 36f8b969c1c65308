"""`python -m extract.download`: weights of backbones, fetched, checked and pinned below the weights root."""

import argparse
import fnmatch
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from extract.backbone import Backbone
from extract.backbones import ALIASES, BACKBONES, find_backbone
from extract.weights.table import LICENCES, Weights, candidates, default_root
from store.errors import BadValue, UserError
from store.flags import Parser, names
from store.runtime import run_command
from store.tables import text_table


@dataclass(frozen=True)
class Fetched:
    """What became of one backbone's weights; a row of the table that the command prints."""

    backbone: str
    state: str
    """fetched, present, packaged, none (there are no weights) or failed."""
    sha256: str = ""
    path: str = ""
    why: str = ""


def build_parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="python -m extract.download",
        description="Fetch weights of backbones. A download that broke off goes on where it was.",
    )
    p.add_argument("names", nargs="*", metavar="NAME", help="backbones by name, * and ? allowed: swav_*")
    p.add_argument("--all", action="store_true", help="every backbone whose weights are published")
    p.add_argument("--list", action="store_true", help="list files, sizes, licences and what is here already")
    p.add_argument(
        "--check", type=names, default=(), metavar="A,B", help="say what datasets' folders lack or have too many"
    )
    p.add_argument("--data-root", metavar="DIR", help="of --check: where the datasets lie")
    p.add_argument("--weights-root", metavar="DIR", help=f"default: WEIGHTS_ROOT, or {default_root()}")
    p.add_argument("--json", action="store_true", help="print one JSON document")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    parser = build_parser()
    options = parser.parse_args(argv)
    if options.list:
        rows = list_weights(options.weights_root)
        print(json.dumps(rows, indent=1) if options.json else _list_text(rows))
        return 0
    if options.check:
        from extract.datasets.check import report

        return report(options.check, options.data_root, as_json=options.json)
    if bool(options.names) == options.all:
        parser.error("name backbones, or give --all, --list or --check DATASET")
    found = [fetch(row, options.weights_root) for row in chosen(options.names)]
    if options.json:
        print(json.dumps([asdict(row) for row in found], indent=1))
    else:
        print(
            text_table(
                ("backbone", "state", "sha256", "file"), [(f.backbone, f.state, f.sha256, f.path) for f in found]
            )
        )
    failed = [row for row in found if row.state == "failed"]
    if failed:
        raise BadValue(f"{len(failed)} of {len(found)} failed:" + "".join(f"\n  {row.why}" for row in failed))
    return 0


def chosen(names: Sequence[str]) -> list[Backbone]:
    """The rows of names and patterns; without names, of all backbones whose weights can be fetched."""
    if not names:
        return [row for row in BACKBONES.values() if row.weights is not None and row.weights.source]
    rows: dict[str, Backbone] = {}
    for name in names:
        hits = fnmatch.filter((*BACKBONES, *ALIASES), name) if set(name) & set("*?") else []
        for hit in hits or [name]:
            row = find_backbone(hit)
            rows[row.name] = row
    return list(rows.values())


def list_weights(root: str | None) -> list[dict[str, str]]:
    """One row a backbone with weights; touches no network."""
    rows = []
    for name, row in BACKBONES.items():
        if (weights := row.weights) is not None:
            package = weights.package.partition(":")[0]
            here = "" if package else next((str(p) for p in candidates(weights, root) if p.is_file()), "")
            rows.append(
                {
                    "backbone": name,
                    "licence": weights.licence,
                    "MiB": str(weights.mib or ""),
                    "here": here,
                    "from": weights.source or (f"pip package {package}" if package else "not published"),
                }
            )
    return rows


def _list_text(rows: list[dict[str, str]]) -> str:
    legend = "\n".join(f"{name}: {LICENCES[name]}" for name in sorted({row["licence"] for row in rows}))
    return f"{text_table(list(rows[0]), [list(row.values()) for row in rows])}\n\n{legend}"


def fetch(row: Backbone, root: str | None) -> Fetched:
    """Bring one backbone's weights below the root, unless they are there; a failure is a row too."""
    from extract.weights.receive import receive

    try:
        weights = _weights(row)
        if weights is None and row.name.startswith("timm:"):
            return Fetched(row.name, "fetched", path="timm's own cache")
        if weights is None:
            return Fetched(row.name, "none")
        if weights.package:
            return Fetched(row.name, "packaged", weights.sha256, weights.package.partition(":")[0])
        path, sha256, fetched = receive(row, weights, root)
    except UserError as error:
        return Fetched(row.name, "failed", why=str(error))
    return Fetched(row.name, "fetched" if fetched else "present", sha256, str(path))


def _weights(row: Backbone) -> Weights | None:
    """A row's weights; of a model of torchvision or timm, what the library says (timm fetches its own at once)."""
    if row.weights is None and row.recipe == "own":
        from extract.models.foreign import build_foreign  # torch loads here

        return build_foreign(row.arch, given=False).weights
    return row.weights


if __name__ == "__main__":
    sys.exit(run_command("extract.download", main))
