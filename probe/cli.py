"""`python -m probe`: train a head on stored features. Imports nothing heavy, so that --help answers at once."""

import argparse
import sys
from collections.abc import Sequence

from probe.check import OBJECTIVES, SELECT, TUNINGS
from probe.config import BATCH_NORMS, PRECISIONS, SHARDS, ProbeConfig
from probe.solvers import SOLVERS
from store.errors import BadValue
from store.flags import Parser, integers, names, numbers, size
from store.results import open_for_results
from store.root import list_command
from store.tables import table_or_json


def build_parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="python -m probe",
        description="Train a linear head on stored features and score it. Weight decay is λ in mean loss + λ/2 |W|², "
        "bias unpenalised; columns are standardised unless a block says otherwise (a:l2, a:raw, a:pca256, a[0:2048]) "
        "or BatchNorm follows: to sgd a block without options is :raw.",
    )
    default = ProbeConfig(features=())
    p.add_argument(
        "--features", action="append", metavar="A,B,C", help="backbones to concatenate; repeat: one row each"
    )
    p.add_argument("--dataset", default=default.dataset, help="dataset name (%(default)s)")
    p.add_argument("--target", default=default.target, help="target column to predict (%(default)s)")
    p.add_argument(
        "--group",
        metavar="COLUMN[=A,B:C:D]",
        help="target column with each sample's group: accuracy per group, and the worst; with --objective also which "
        "groups train, tune and test",
    )
    p.add_argument("--store", help="path or s3:// URL ($FEATURE_STORE or data/features)")
    p.add_argument("--records", metavar="DIR", help="another store for the record, heads and predictions (--store)")
    for split in ("train", "test"):
        p.add_argument(f"--{split}", default=split, metavar="SPLIT", help=f"split to use as {split} (%(default)s)")
    p.add_argument("--val", metavar="SPLIT", help="split to use as val (val, if there is one; none: a part of train)")
    p.add_argument(
        "--test-dataset", metavar="NAME", help="take --test from another dataset, with some of these classes"
    )
    p.add_argument("--solver", help=f"{default.solver}, with --objective balanced; --list shows all")
    p.add_argument("--weight-decay", type=numbers, metavar="1e-6,1e-5", help="grid; the solver's own by default")
    g = p.add_argument_group("out of distribution", "Needs --group. Both tunings come from one run; --select heads it.")
    g.add_argument("--objective", type=names, default=(), metavar="erm,vrex", help=f"of {', '.join(OBJECTIVES)}")
    g.add_argument(
        "--penalty", type=numbers, default=default.penalty, metavar="0,1,10", help="of vrex: a grid (9 of them)"
    )
    g.add_argument(
        "--anneal", type=integers, default=default.anneal, metavar="0,500", help="of vrex: steps without it, a grid (0)"
    )
    g.add_argument(
        "--id-val",
        default=default.id_val,
        metavar="SPLIT",
        help="of the training groups, as --val is of others (%(default)s)",
    )
    g.add_argument("--wilds", metavar="DIR", help="write predictions of camelyon17 as WILDS' evaluator reads them")
    g = p.add_argument_group("sgd and cosine, and --objective")
    g.add_argument(
        "--lr", type=numbers, default=default.lr, metavar="0.1,0.01", help="grid; the solver's own by default"
    )
    g.add_argument(
        "--seeds",
        type=integers,
        default=default.seeds,
        metavar="0,1",
        help="grid of random starts (0; 0 to 4 of groups)",
    )
    g.add_argument("--epochs", type=int, help="28, lr divided by 10 after 8, 16, 24/28; balanced 10, fullbatch 200")
    g.add_argument("--batch", type=int, help="rows, over all ranks (256; balanced 32)")
    g.add_argument("--batch-norm", default=default.batch_norm, choices=BATCH_NORMS, help="of sgd (%(default)s)")
    g.add_argument(
        "--decay-batch-norm", action="store_true", help="sgd: let weight decay also shrink BatchNorm's scale and shift"
    )
    g.add_argument("--views", type=int, default=default.views, help="stored views of train, one an epoch (%(default)s)")
    g.add_argument(
        "--average", type=names, default=(), metavar="ID,ID", help="sgd starts from these heads, one a block"
    )
    g = p.add_argument_group("knn")
    g.add_argument("--k", type=integers, default=default.k, metavar="10,20", help="grid of neighbours (10,20,100)")
    g.add_argument("--temperature", type=float, default=default.temperature, help="of the votes (%(default)s)")
    p.add_argument("--select", default=default.select, choices=(*SELECT, *TUNINGS), help="how to choose (%(default)s)")
    p.add_argument("--folds", type=int, default=default.folds, help="of --select kfold (%(default)s)")
    p.add_argument("--seed", type=int, default=default.seed, help="of splits and starts (%(default)s)")
    p.add_argument(
        "--tolerance", type=float, default=default.tolerance, metavar="1e-6",
        help="lbfgs stops where the objective is expected to fall by this part of itself (%(default)s)",
    )  # fmt: skip
    p.add_argument(
        "--precision", default=default.precision, choices=PRECISIONS,
        help="of products: lbfgs ends in float32 whichever; sgd in bfloat16 only if asked (%(default)s)",
    )  # fmt: skip
    p.add_argument("--shard", default=default.shard, choices=SHARDS, help="what ranks of torchrun share (%(default)s)")
    p.add_argument("--device", default=default.device, help="auto, cpu, cuda, cuda:1 (%(default)s)")
    p.add_argument("--memory", type=size, help="4GB: larger features stream from the store (half of what is free)")
    p.add_argument("--sub", action="store_true", help="also average separate heads, one a block: cat^sub")
    p.add_argument("--predictions", action="store_true", help="store per-sample predictions as Parquet")
    p.add_argument(
        "--allow-duplicates",
        action="store_true",
        help="run although images stand in two of train, val and test; the table and the record say so",
    )
    p.add_argument("--json", action="store_true", help="one JSON document on stdout instead of the table")
    p.add_argument("--list", action="store_true", help="show the solvers and stop")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    options = vars(build_parser().parse_args(argv))
    as_json, records = options.pop("json"), options.pop("records")
    if options.pop("list"):
        print(table_or_json(("solver", "what"), [(name, row.what) for name, row in SOLVERS.items()], as_json=as_json))
        return 0
    if not options["features"]:
        raise BadValue(
            "give --features a,b,c: which stored features to probe; "
            f"`{list_command(options['store'])}` shows what there is"
        )
    options["objective"] = tuple(dict.fromkeys(options["objective"]))
    options["solver"] = options["solver"] or ("balanced" if options["objective"] else ProbeConfig.solver)
    config = ProbeConfig(**{**options, "features": tuple(options["features"])})
    from probe.run import run  # torch loads here

    with open_for_results(config.store, records) as root:
        return run(root, config, as_json=as_json, out=sys.stdout)
