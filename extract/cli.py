"""`python -m extract`: images through backbones into the store. torch loads only when there is work to do."""

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from extract.backbones import list_backbones
from extract.config import ExtractConfig
from store.flags import Parser, names


def build_parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="python -m extract",
        description="Extract the features of backbones once, into the store. What is there already is not made again; "
        "a run that was stopped goes on where it was.",
    )
    default = ExtractConfig(backbone=("x",))
    p.add_argument("--backbone", metavar="A,B", help="backbones by name, also a{0..2} and b*; one decode feeds all")
    p.add_argument("--dataset", type=names, default=default.dataset, metavar="NAME",
                   help="a name, folder:PATH or csv:FILE; several by comma (default: openmoji)")  # fmt: skip
    p.add_argument("--data-root", default=default.data_root, metavar="DIR",
                   help="where the datasets lie, or the only one's folder (default: %(default)s)")  # fmt: skip
    p.add_argument("--download", action="store_true", help="fetch datasets that are not there, where that is allowed")
    p.add_argument("--split", type=names, default=(), metavar="A,B", help="default: every split of the dataset")
    p.add_argument("--views", type=int, default=default.views, metavar="N",
                   help="the evaluation crop and N - 1 random crops of each image (default: %(default)s)")  # fmt: skip
    p.add_argument("--seed", type=int, default=default.seed, metavar="N", help="of the random crops")
    p.add_argument("--store", default=default.store, help="folder or s3://bucket/prefix (default: %(default)s)")
    p.add_argument("--weights", metavar="FILE", help="weights file for the one backbone named")
    p.add_argument("--weights-root", metavar="DIR", help="where weights files are kept")
    p.add_argument("--backbones", metavar="DIR", help="where trained backbones are kept (default: data/backbones)")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    p.add_argument("--precision", default=default.precision, help="auto, fp32, bf16, fp16 (default: auto)")
    p.add_argument("--compile", default=default.compile, metavar="WHEN",
                   help="auto (torch.compile where it was measured to pay), on, off (default: auto)")  # fmt: skip
    p.add_argument("--dtype", default=default.dtype, help="float16 or float32 in the store (default: %(default)s)")
    p.add_argument("--backend", default=default.backend, help="zarr, or hdf5 for h5py (default: %(default)s)")
    p.add_argument("--batch-size", type=int, metavar="N", help="images of one forward pass (default: what fits)")
    p.add_argument("--workers", type=int, default=default.workers, metavar="N", help="decoding threads")
    p.add_argument("--skip-bad", action="store_true", help="record images that cannot be read instead of stopping")
    p.add_argument("--relabel", action="store_true",
                   help="read splits, samples and labels of --dataset anew, without a network")  # fmt: skip
    p.add_argument("--dry-run", action="store_true", help="say what would be done, its size and time")
    p.add_argument("--json", action="store_true", help="print one JSON document")
    p.add_argument("--list", action="store_true", help="list the backbones")
    p.add_argument("--list-datasets", action="store_true", help="list the datasets and their licences")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    parser = build_parser()
    options = vars(parser.parse_args(argv))
    if options.pop("list"):
        from extract.listing import backbone_table

        print(backbone_table(options["backbones"], as_json=options["json"]))
        return 0
    if options.pop("list_datasets"):
        from extract.listing import dataset_rows, dataset_table

        root = options["data_root"]
        print(json.dumps(dataset_rows(root), indent=1) if options["json"] else dataset_table(root))
        return 0
    if options.pop("relabel"):
        if options["backbone"]:
            parser.error("--relabel goes without --backbone: an extraction takes over the labels anyway")
        return _relabel(options)
    options["backbone"] = list_backbones(options["backbone"] or "", options["backbones"])
    if not options["backbone"]:
        parser.error("--backbone is needed (or --relabel, --list, --list-datasets)")
    as_json, download, dry_run = (options.pop(name) for name in ("json", "download", "dry_run"))
    config = ExtractConfig(**options)
    check_names(config)
    if download:
        from extract.datasets.fetch import fetch_missing

        fetch_missing(config.dataset, config.data_root)

    from extract.forward.allocator import keep_memory

    keep_memory()
    from dataclasses import asdict

    from extract.listing import made_table, plan_table

    rows: list[Any]
    table: Callable[[list[Any]], str]
    if dry_run:
        from extract.plan import plan  # torch loads here, so --help and typos answer at once

        rows, table = list(plan(config)), plan_table
    else:
        from extract.orphans import run_to_the_end

        rows, table = list(run_to_the_end(config)), made_table
    print(json.dumps([asdict(row) for row in rows], indent=1) if as_json else table(rows))
    return 0


def _relabel(options: dict[str, Any]) -> int:
    from dataclasses import asdict

    from extract.datasets import find_dataset
    from extract.listing import relabelled_table
    from extract.stock import relabel
    from store.root import open_root

    for name in options["dataset"]:
        find_dataset(name)
    rows = relabel(open_root(options["store"]), options["dataset"], options["data_root"])
    print(json.dumps([asdict(row) for row in rows], indent=1) if options["json"] else relabelled_table(rows))
    return 0


def check_names(config: ExtractConfig) -> None:
    """Refuse what no table knows before torch loads."""
    from extract.datasets import find_dataset
    from extract.forward.taps import split_name

    for name in config.backbone:
        split_name(name, config.backbones)
    for name in config.dataset:
        find_dataset(name)
