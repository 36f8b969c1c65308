"""`python -m probe.report`: what the records say, as tables, figures and a page. Reads records, never features."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from probe.report import compare, pivot, rows
from probe.report.grouping import RUN, check_names, group, where
from probe.report.layout import index_of
from probe.report.layouts import LAYOUTS
from probe.report.tables import FORMATS, Table
from store.errors import BadValue, UnknownName
from store.flags import Parser, names
from store.keys import dataset_name
from store.root import Root, default_root, open_root, store_flag
from store.tables import printable


def build_parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="python -m probe.report",
        description="What the records of probe and fewshot say: a table of every concatenation, the paper's tables, "
        "figures, or one page. Accuracy in per cent with its 95 % interval: over the runs where they differ by "
        "their seeds, else of the samples or episodes of one. The best of what can be compared is marked.",
        epilog="python -m probe.report diff A B compares two stores, or one store on two dates.",
    )
    p.add_argument("--store", default=default_root(), help="folder or s3://bucket/prefix (default: %(default)s)")
    p.add_argument("--dataset", type=names, default=(), metavar="X,Y", help="only these")
    p.add_argument("--where", action="append", default=[], metavar="COLUMN=VALUE", help="only these; may be repeated")
    p.add_argument("--all", action="store_true", help="also results that a later run of the same replaced")
    p.add_argument("--list", action="store_true", help="show the columns and the layouts, and stop")
    t = p.add_argument_group("tables")
    t.add_argument("--by", type=names, default=(), metavar="A,B", help="a line for all results that agree in these")
    t.add_argument("--columns", type=names, default=(), metavar="A,B", help="what each line shows")
    t.add_argument("--layout", metavar="NAME", help=f"a table of the paper beside ours: {', '.join(LAYOUTS)}")
    t.add_argument("--format", default="text", choices=FORMATS, help="csv has full numbers (default: %(default)s)")
    t.add_argument("--json", action="store_true", help="print one JSON document")
    f = p.add_argument_group("figures and page (they need matplotlib)")
    f.add_argument("--html", type=Path, metavar="FILE", help="write one page with everything; it opens without network")
    f.add_argument("--figures", type=Path, metavar="FOLDER", help="write every figure as SVG and PNG")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["diff"]:
        return compare.main(words[1:])
    options = build_parser().parse_args(words)
    if options.list:
        print(_list(as_json=options.json))
        return 0
    if options.layout and options.layout not in LAYOUTS:
        raise UnknownName("layout", options.layout, LAYOUTS, f"known: {', '.join(LAYOUTS)}")
    root = open_root(options.store)
    skipped: rows.Skipped = []
    results = rows.read_results(root, skipped)
    rows.tell(root.url, skipped)
    if options.html or options.figures:
        return _draw(root, _chosen(root, results, options), skipped, options)
    if options.layout:
        found = index_of(rows.newest(_chosen(root, results, options, need=False)))
        layout = LAYOUTS[options.layout]
        print(json.dumps(layout.to_json(found), indent=1) if options.json else _show(layout.tables(found), options))
        return 0
    print(_table(_chosen(root, results, options), options))
    return 0


def _list(*, as_json: bool) -> str:
    if as_json:
        told = {"columns": rows.COLUMNS, "layouts": {name: layout.what for name, layout in LAYOUTS.items()}}
        return json.dumps(told, indent=1)
    width = max(map(len, rows.COLUMNS))
    lines = ["columns of a result, for --by, --columns and --where (and config.X, metrics.X, seconds.X, versions.X):"]
    lines += [f"  {name:{width}}  {what}" for name, what in rows.COLUMNS.items()]
    lines += ["", "layouts, with the paper's numbers beside ours:"]
    return "\n".join([*lines, *(f"  {name:{width}}  {layout.what}" for name, layout in LAYOUTS.items())])


def _chosen(
    root: Root, results: list[rows.Result], options: argparse.Namespace, *, need: bool = True
) -> list[rows.Result]:
    """Raises `BadValue`: nothing is left of what must be shown."""
    chosen = results
    if options.dataset:
        wanted = {dataset_name(name) for name in options.dataset}
        chosen = [result for result in chosen if result.values["dataset"] in wanted]
    if need and not chosen:
        what = f" of {', '.join(options.dataset)}" if options.dataset else ""
        run = f"python -m probe --features a,b --dataset NAME{store_flag(root)}"
        raise BadValue(f"no records{what} in {root.url}; run: {run}")
    if options.where and chosen:
        chosen = where(chosen, options.where)
        if need and not chosen:
            raise BadValue(f"no result has {' and '.join(options.where)}; leave --where out to see them all")
    return chosen if options.all else rows.newest(chosen)


def _table(results: list[rows.Result], options: argparse.Namespace) -> str:
    if not (options.by or options.columns):
        return json.dumps(pivot.to_json(results), indent=1) if options.json else _show([pivot.table(results)], options)
    check_names([*options.by, *options.columns], results)
    lines = group(results, options.by or RUN)
    shown = [*options.by, *(options.columns or ("accuracy", "runs"))]
    if options.json:
        return json.dumps({"rows": [{name: line.get(name) for name in shown} for line in lines]}, indent=1)
    return _show([pivot.list_table(lines, list(dict.fromkeys(shown)))], options)


def _show(tables: Sequence[Table], options: argparse.Namespace) -> str:
    return "\n\n".join(FORMATS[options.format](table) for table in tables)


def _draw(root: Root, results: list[rows.Result], skipped: rows.Skipped, options: argparse.Namespace) -> int:
    from probe.report.plots import check_matplotlib

    check_matplotlib()
    from probe.report.search_figures import read_searches, search_figures

    searches = read_searches(root, skipped)
    if options.figures:
        from probe.report.figures import write_figures

        files = write_figures(group(results), search_figures(searches, skipped), options.figures)
        print("\n".join(printable(str(file)) for file in files))
    if options.html:
        from probe.report.page import write_page

        print(printable(str(write_page(root, results, search_figures(searches, skipped), skipped, options.html))))
    return 0
