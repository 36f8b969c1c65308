"""`python -m probe.search`: which backbones are worth concatenating. Imports nothing heavy, so that --help is quick."""

import argparse
import sys
from collections.abc import Sequence

from probe.search.config import SearchConfig
from store.errors import BadValue
from store.flags import Parser, numbers, size
from store.results import open_for_results
from store.root import list_command


def build_parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="python -m probe.search",
        description="Score concatenations of stored features by a ridge probe on val, from Gram blocks that are made "
        "once and kept: every subset of up to 12 backbones, or a greedy walk. docs/SEARCH.md says what is exact.",
    )
    default = SearchConfig(features="")
    p.add_argument("--features", metavar="A,B,C", help="the candidates: names, {braces} and globs such as 'swav_*'")
    p.add_argument("--budget", type=int, metavar="K", help="most candidates in a concatenation (all)")
    p.add_argument(
        "--limit", type=int, default=default.limit, help="try all subsets up to so many, else greedy (%(default)s)"
    )
    p.add_argument(
        "--orders", type=int, default=default.orders, help="of a greedy search, for contributions (%(default)s)"
    )
    p.add_argument("--dataset", default=default.dataset, help="dataset name (%(default)s)")
    p.add_argument("--target", default=default.target, help="target column to predict (%(default)s)")
    p.add_argument("--store", help="path or s3:// URL ($FEATURE_STORE or data/features)")
    p.add_argument("--records", metavar="DIR", help="another store for the record, heads and Gram blocks (--store)")
    for split in ("train", "test"):
        p.add_argument(f"--{split}", default=split, metavar="SPLIT", help=f"split to use as {split} (%(default)s)")
    p.add_argument("--val", metavar="SPLIT", help="split to use as val (val, if there is one; none: a part of train)")
    p.add_argument(
        "--weight-decay", type=numbers, default=default.weight_decay, metavar="1e-2,1", help="grid of the ridge probe"
    )
    p.add_argument(
        "--select", default=default.select, choices=("val", "kfold"), help="what scores a subset (%(default)s)"
    )
    p.add_argument("--folds", type=int, default=default.folds, help="of --select kfold (%(default)s)")
    p.add_argument("--seed", type=int, default=default.seed, help="of folds, orders and intervals (%(default)s)")
    p.add_argument(
        "--confirm",
        type=int,
        default=default.confirm,
        metavar="K",
        help="probe the K best by --solver; 0: none (%(default)s)",
    )
    p.add_argument("--solver", default=default.solver, help="of --confirm and of the command to run next (%(default)s)")
    p.add_argument("--device", default=default.device, help="auto, cpu, cuda, cuda:1 (%(default)s)")
    p.add_argument("--memory", type=size, help="4GB: of the whole process (half of what is free)")
    p.add_argument(
        "--allow-duplicates",
        action="store_true",
        help="run although images stand in two of train, val and test; records say so",
    )
    p.add_argument("--json", action="store_true", help="one JSON document on stdout instead of the tables")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    options = vars(build_parser().parse_args(argv))
    as_json, records = options.pop("json"), options.pop("records")
    if not options["features"]:
        raise BadValue(
            "give --features a,b,c: which stored features to choose from; "
            f"`{list_command(options['store'])}` shows what there is"
        )
    config = SearchConfig(**options)
    from probe.search.run import run  # torch loads here

    with open_for_results(config.store, records) as root:
        return run(root, config, as_json=as_json, out=sys.stdout)
