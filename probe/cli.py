"""`python -m probe`: train a head on stored features. Imports nothing heavy, so that --help answers at once."""

import argparse
import sys
from collections.abc import Sequence

from probe.config import SELECT, ProbeConfig
from probe.solvers import SOLVERS
from store.errors import BadValue, UnknownName
from store.root import default_root, open_root

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def floats(text: str) -> tuple[float, ...]:
    """`1e-6,1e-5` -> numbers, none negative."""
    try:
        values = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 1e-6,1e-5") from None
    if not values or not all(0 <= value < float("inf") for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} must be finite numbers, none negative")
    return values


def size(text: str) -> int:
    """`4GB`, `512MB` -> bytes."""
    number = text.strip().lower().removesuffix("b")
    unit = number[-1:] if number[-1:].isalpha() else ""
    try:
        return int(float(number.removesuffix(unit)) * UNITS[unit])
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 4GB or 500MB") from None


def build_parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m probe",
        description="Train a linear head on stored features and score it. Weight decay is λ in mean loss + λ/2 |W|², "
        "bias unpenalised; columns are standardised unless a block says otherwise (a:l2, a:raw, a:pca256, a[0:2048]).",
    )
    default = ProbeConfig(features=())
    p.add_argument(
        "--features", action="append", metavar="A,B,C", help="backbones to concatenate; repeat: one row each"
    )
    p.add_argument("--dataset", default=default.dataset, help="dataset name (%(default)s)")
    p.add_argument("--target", default=default.target, help="target column to predict (%(default)s)")
    p.add_argument("--group", help="target column with each sample's group: accuracy per group, and the worst")
    p.add_argument("--store", help="path or s3:// URL ($FEATURE_STORE or data/features)")
    for split in ("train", "val", "test"):
        p.add_argument(f"--{split}", default=split, metavar="SPLIT", help=f"split to use as {split} (%(default)s)")
    p.add_argument("--solver", default=default.solver, help="%(default)s; --list shows all")
    p.add_argument("--weight-decay", type=floats, metavar="1e-6,1e-5", help="grid; the solver's own by default")
    p.add_argument("--select", default=default.select, choices=SELECT, help="how to choose (%(default)s)")
    p.add_argument("--folds", type=int, default=default.folds, help="of --select kfold (%(default)s)")
    p.add_argument("--seed", type=int, default=default.seed, help="of splits and starts (%(default)s)")
    p.add_argument("--device", default=default.device, help="auto, cpu, cuda, cuda:1 (%(default)s)")
    p.add_argument("--memory", type=size, help="4GB: larger features stream from the store (half of what is free)")
    p.add_argument("--json", action="store_true", help="one JSON document on stdout instead of the table")
    p.add_argument("--list", action="store_true", help="show the solvers and stop")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    options = vars(build_parser().parse_args(argv))
    as_json = options.pop("json")
    if options.pop("list"):
        print("\n".join(f"{name:10}{solver.what}" for name, solver in SOLVERS.items()))
        return 0
    if not options["features"]:
        raise BadValue(
            "give --features a,b,c: which stored features to probe; `python -m store ls` shows what there is"
        )
    config = ProbeConfig(**{**options, "features": tuple(options["features"])})
    if config.solver not in SOLVERS:
        raise UnknownName("solver", config.solver, SOLVERS, "`python -m probe --list` shows all")
    if config.folds < 2:
        raise BadValue(f"--folds {config.folds}: at least 2")
    from probe.run import run  # torch loads here

    return run(open_root(config.store or default_root()), config, as_json=as_json, out=sys.stdout)
