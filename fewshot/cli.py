"""python -m fewshot: evaluate classifiers on episodes over stored features."""

import argparse
from collections.abc import Sequence

from fewshot.classifiers import CLASSIFIERS
from fewshot.config import FewshotConfig, Span
from store.errors import UnknownName
from store.root import default_root


def names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def build_parser() -> argparse.ArgumentParser:
    default = FewshotConfig(features=())
    p = argparse.ArgumentParser(
        prog="python -m fewshot",
        description="Few-shot episodes over any concatenation of stored features. No image is read, no backbone runs.",
    )
    p.add_argument(
        "--features",
        action="append",
        metavar="A,B,C",
        help="backbones to concatenate; may be repeated: one row each, same episodes",
    )
    p.add_argument("--dataset", default=default.dataset, help="(%(default)s)")
    p.add_argument("--split", default="", help="one or several, pooled (novel if there is one, else train,val,test)")
    p.add_argument("--target", help="column with the classes (subcategory if there is one, else label)")
    p.add_argument("--store", default=None, help=f"folder or s3://bucket/prefix ({default_root()})")
    p.add_argument("--ways", default=str(default.ways), help="classes of an episode (%(default)s)")
    p.add_argument("--shots", default="1,5", help="support images of each class (%(default)s)")
    p.add_argument("--queries", type=int, default=default.queries, help="query images of each class (%(default)s)")
    p.add_argument("--episodes", type=int, default=default.episodes, help="(%(default)s)")
    p.add_argument("--classifier", default=",".join(default.classifiers), help="see --list (%(default)s)")
    p.add_argument("--seed", type=int, default=default.seed, help="of the episodes (%(default)s)")
    p.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    p.add_argument("--list", action="store_true", help="print the classifiers and stop")
    return p


def read_config(args: argparse.Namespace) -> FewshotConfig:
    classifiers = names(args.classifier)
    for name in classifiers:
        if name not in CLASSIFIERS:
            raise UnknownName("classifier", name, CLASSIFIERS, f"known: {', '.join(CLASSIFIERS)}")
    return FewshotConfig(
        features=tuple(args.features),
        dataset=args.dataset,
        splits=names(args.split),
        target=args.target,
        store=args.store,
        ways=Span.parse("--ways", args.ways, least=2),
        shots=tuple(Span.parse("--shots", text) for text in names(args.shots)),
        queries=args.queries,
        episodes=args.episodes,
        classifiers=classifiers,
        seed=args.seed,
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.list:
        width = max(map(len, CLASSIFIERS))
        print("\n".join(f"{name:{width}}  {row.says}" for name, row in CLASSIFIERS.items()))
        return 0
    if not args.features:
        parser.error("give --features A,B,C")
    config = read_config(args)
    from fewshot.evaluate import evaluate  # torch loads here, so that --help and typos answer at once
    from fewshot.report import to_json, to_text

    report = evaluate(config)
    print(to_json(report) if args.json else to_text(report))
    return 0
