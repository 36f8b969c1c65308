"""python -m fewshot: evaluate classifiers on episodes over stored features."""

import argparse
from collections.abc import Sequence

from fewshot.classifiers import CLASSIFIERS
from fewshot.config import ALL, TRANSFORMS, Crossing, FewshotConfig, Settings, Span
from store.errors import BadValue, UnknownName
from store.flags import Parser, names
from store.results import open_for_results
from store.root import default_root, list_command
from store.tables import table_or_json


def build_parser() -> argparse.ArgumentParser:
    default, settings = FewshotConfig(features=()), Settings()
    p = Parser(
        prog="python -m fewshot",
        description="Few-shot episodes over any concatenation of stored features. No image is read, no backbone runs.",
    )
    p.add_argument("--features", action="append", metavar="A,B,C", help="backbones to concatenate; may be repeated")
    p.add_argument("--classifier", default=",".join(default.classifiers), help="one or more, see --list (%(default)s)")
    p.add_argument("--ensemble", action="store_true", help="also the mean of the probabilities of each backbone")
    p.add_argument("--compare", nargs=2, metavar=("A", "B"), help="paired difference of two features or classifiers")
    p.add_argument("--store", help=f"folder or s3://bucket/prefix ({default_root()})")
    p.add_argument("--records", metavar="DIR", help="another store for the record (--store)")
    p.add_argument("--list", action="store_true", help="print the classifiers and stop")
    p.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    p.add_argument("--device", default=default.device, help="auto, cpu, cuda (%(default)s)")

    data = p.add_argument_group("what is drawn from")
    data.add_argument("--dataset", default=default.dataset, help="(%(default)s)")
    data.add_argument("--split", metavar="X,Y", help="pooled if several (novel if there is one, else train,val,test)")
    data.add_argument("--target", metavar="COLUMN", help="the classes (subcategory if there is one, else label)")
    data.add_argument("--classes", metavar="X,Y", help="only these (all)")
    data.add_argument("--group", metavar="COLUMN=A:B", help="support from group A, query from group B")
    data.add_argument(
        "--apart", metavar="COLUMN", help="no value of it both in support and query (unit if there is one; none: off)"
    )
    data.add_argument(
        "--allow-duplicates",
        action="store_true",
        help="run although an image stands in the pool more than once; the table and the record say so",
    )

    drawn, shots = p.add_argument_group("episodes"), ",".join(map(str, default.shots))
    drawn.add_argument("--ways", default=str(default.ways), help="classes: 5, a range 5-20, or all (%(default)s)")
    drawn.add_argument("--shots", default=shots, help="support images a class: 1,5 or a range 1-10 (%(default)s)")
    drawn.add_argument("--queries", type=int, default=default.queries, help="query images a class (%(default)s)")
    drawn.add_argument("--episodes", type=int, default=default.episodes, help="(%(default)s)")
    drawn.add_argument("--repeats", type=int, default=default.repeats, help="draw so often, for a std (%(default)s)")
    drawn.add_argument("--seed", type=int, default=settings.seed, help="(%(default)s)")
    drawn.add_argument("--write-episodes", metavar="FILE", help="keep what is drawn, as .npz")
    drawn.add_argument("--read-episodes", metavar="FILE", help="instead of drawing")

    how, transforms = p.add_argument_group("classifiers"), ", ".join(TRANSFORMS)
    how.add_argument("--transform", default=default.transform, help=f"of the features: {transforms} (%(default)s)")
    how.add_argument("--centre", metavar="SPLIT", help="whose mean cl2n subtracts (base or train, if not evaluated)")
    how.add_argument("--neighbours", type=int, default=settings.neighbours, help="of knn (%(default)s)")
    how.add_argument("--weight-decay", type=float, help="of logistic and ridge (1 / number of support images)")
    return p


def read_config(args: argparse.Namespace) -> FewshotConfig:
    """The configuration that flags give. Raises `BadValue`, `UnknownName`."""
    classifiers, features = names(args.classifier), tuple(args.features or ())
    for name in classifiers:
        if name not in CLASSIFIERS:
            raise UnknownName("classifier", name, CLASSIFIERS, f"known: {', '.join(CLASSIFIERS)}")
    if args.compare:
        known = [name in CLASSIFIERS for name in args.compare]
        if any(known) != all(known):
            raise BadValue(f"--compare {' '.join(args.compare)}: give two features or two classifiers")
        asked = classifiers if all(known) else features
        added = tuple(name for name in dict.fromkeys(args.compare) if name not in asked)
        classifiers, features = (classifiers + added, features) if all(known) else (classifiers, features + added)
    if not features:
        raise BadValue(f"give --features A,B,C; `{list_command(args.store)}` lists what there is")
    return FewshotConfig(
        features=tuple(dict.fromkeys(features)),
        dataset=args.dataset,
        splits=names(args.split or ""),
        target=args.target,
        classes=names(args.classes or ""),
        store=args.store,
        ways=ALL if args.ways == "all" else Span.parse("--ways", args.ways, least=2),
        shots=tuple(Span.parse("--shots", text) for text in names(args.shots or "")),
        queries=args.queries,
        episodes=args.episodes,
        repeats=args.repeats,
        crossing=Crossing.parse(args.group) if args.group else None,
        apart=args.apart,
        allow_duplicates=args.allow_duplicates,
        classifiers=tuple(dict.fromkeys(classifiers)),
        transform=args.transform,
        centre=args.centre,
        ensemble=args.ensemble,
        compare=tuple(args.compare) if args.compare else None,
        settings=Settings(seed=args.seed, neighbours=args.neighbours, weight_decay=args.weight_decay),
        read_episodes=args.read_episodes,
        write_episodes=args.write_episodes,
        device=args.device,
    )


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.list:
        rows = [(name, row.says) for name, row in CLASSIFIERS.items()]
        print(table_or_json(("classifier", "what"), rows, as_json=args.json))
        return 0
    config = read_config(args)
    from fewshot.evaluate import evaluate  # torch loads here, so that --help and typos answer at once
    from fewshot.report import to_json, to_text

    with open_for_results(config.store, args.records) as root:
        report = evaluate(config, root)
        print(to_json(report) if args.json else to_text(report))
    return 0
