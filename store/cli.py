"""`python -m store`: see, check, remove, import and export what is stored."""

import argparse
import os
from collections.abc import Callable, Sequence

from store.flags import Parser
from store.root import default_root

_SETS = "backbone, split/backbone or dataset/split/backbone; * and ? match, @3f9c picks a fingerprint"


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m store", description="See, check, remove, import and export stored features.")
    parser.set_defaults(command="ls")
    shared = Parser(add_help=False)
    shared.add_argument("--store", default=default_root(), help="folder or s3://bucket/prefix (default: %(default)s)")
    chosen = Parser(add_help=False)
    chosen.add_argument("sets", nargs="*", metavar="SET", help=_SETS)
    chosen.add_argument("--dataset", help="only of this dataset; * and ? match")
    chosen.add_argument("--split", help="only of this split; * and ? match")
    told = Parser(add_help=False)
    told.add_argument("--json", action="store_true", help="print one JSON document")
    asked = Parser(add_help=False)
    asked.add_argument("--yes", action="store_true", help="do not ask")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")

    def command(name: str, text: str, *parents: Parser) -> Parser:
        made = commands.add_parser(name, help=text, description=text, parents=[shared, *parents])
        made.set_defaults(command=name)
        return made

    command("ls", "List the feature sets (the default command).", chosen, told)
    command("show", "Show what made a feature set.", chosen, told)
    verify = command("verify", "Read everything back (without SET and the like also records, heads, predictions and "
                     "trained backbones) and compare it with its checksums; 1 if something is damaged.",
                     chosen, told)  # fmt: skip
    verify.add_argument("--repair", action="store_true", help="remove what is damaged, for extract to make it again")
    verify.add_argument("--backbones", default=os.environ.get("BACKBONES") or "data/backbones", metavar="DIR",
                        help="where trained backbones are kept, which are read too (default: %(default)s)")  # fmt: skip
    command("rm", "Remove feature sets; never one that is being written.", chosen, asked)
    gc = command("gc", "Remove what killed runs left behind and nothing refers to.", asked)
    gc.add_argument("--age", type=float, default=7.0, metavar="DAYS", help="only what is older (default: %(default)s)")
    command("doctor", "Check versions, disk, sets and records; 1 if something is broken (also: extract.doctor).", told)
    _add_exchange(command)
    return parser


def _add_exchange(command: Callable[..., argparse.ArgumentParser]) -> None:
    files = "npz, npy, HDF5 or Parquet, told by the suffix"
    taken = command("import", f"Store the features of a file: {files}.")
    taken.add_argument("file", metavar="FILE", help="its arrays: features, and if there ids, labels, groups, split")
    taken.add_argument("--dataset", required=True)
    taken.add_argument("--split", help="only this split (default: all of the dataset, by the images' ids)")
    taken.add_argument("--backbone", required=True, help="the name to store the features under")
    taken.add_argument("--ids", metavar="COLUMN", help="the array or column that names the images; none: row numbers")
    taken.add_argument("--partial", action="store_true", help="take what matches: others are left out, or bad rows")
    taken.add_argument("--labels", metavar="FILE", help="labels from another file: .npy, or text with one a line")
    taken.add_argument("--dtype", help="float16 or float32 (default: what holds the numbers exactly)")
    taken.add_argument("--skip-bad", action="store_true", help="take rows that are not finite as bad rows")
    taken.add_argument("--relabel", action="store_true", help="replace the stored targets of the same samples")
    taken.add_argument("--backend", default="zarr", help="zarr or hdf5 (default: %(default)s)")
    given = command("export", f"Write features, with ids and labels, to a file: {files}.")
    given.add_argument("file", metavar="FILE")
    given.add_argument("--dataset", required=True)
    given.add_argument("--split", required=True)
    given.add_argument("--features", required=True, metavar="A,B", help="backbones to concatenate")
    given.add_argument("--dtype", help="float16 or float32 (default: as stored)")
    given.add_argument("--overwrite", action="store_true", help="replace the file")


def main(argv: Sequence[str] | None = None) -> int:
    parser = build_parser()
    options = parser.parse_args(argv)
    if not hasattr(options, "store"):
        options = parser.parse_args(["ls"])
    from store import commands  # numpy loads here, so that --help answers at once

    return commands.COMMANDS[options.command](options)
