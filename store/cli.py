"""`python -m store`: see, check and remove what is stored."""

import argparse
from collections.abc import Sequence

from store.root import default_root

_SETS = "backbone, split/backbone or dataset/split/backbone; * and ? match, @3f9c picks a fingerprint"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m store", description="See, check and remove stored features.")
    parser.set_defaults(command="ls")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--store", default=default_root(), help="folder or s3://bucket/prefix (default: %(default)s)")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("sets", nargs="*", metavar="SET", help=_SETS)
    chosen.add_argument("--dataset", help="only of this dataset")
    chosen.add_argument("--split", help="only of this split")
    told = argparse.ArgumentParser(add_help=False)
    told.add_argument("--json", action="store_true", help="print one JSON document")
    asked = argparse.ArgumentParser(add_help=False)
    asked.add_argument("--yes", action="store_true", help="do not ask")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")

    def command(name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, parents=[shared, *parents])
        made.set_defaults(command=name)
        return made

    command("ls", "List the feature sets (the default command).", chosen, told)
    command("show", "Show what made a feature set.", chosen, told)
    verify = command("verify", "Read everything back and compare it with its checksums; 1 if something is damaged.",
                     chosen, told)  # fmt: skip
    verify.add_argument("--repair", action="store_true", help="remove what is damaged, for extract to make it again")
    command("rm", "Remove feature sets; never one that is being written.", chosen, asked)
    gc = command("gc", "Remove what killed runs left behind and nothing refers to.", asked)
    gc.add_argument("--age", type=float, default=7.0, metavar="DAYS", help="only what is older (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    parser = build_parser()
    options = parser.parse_args(argv)
    if not hasattr(options, "store"):
        options = parser.parse_args(["ls"])
    from store import commands  # numpy loads here, so that --help answers at once

    return commands.COMMANDS[options.command](options)
