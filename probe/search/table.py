"""What a search found, as tables for people."""

from collections.abc import Sequence
from typing import Any

from probe.table import percent
from store.tables import text_table

UNITS = {"dim": ("columns", 1), "stored_bytes": ("MB stored", 1e6), "backbone_parameters": ("M parameters", 1e6),
         "backbone_flops_per_image": ("GFLOP an image", 1e9)}  # fmt: skip


def text(found: dict[str, Any]) -> str:
    how = {
        "exhaustive": f"all subsets of up to {found['largest']}",
        "greedy": "greedy forward, backward, random orders",
    }
    parts = [
        f"{found['num_subsets']} concatenations of {len(found['candidates'])} candidates on {found['dataset']} "
        f"({how[found['how']]}); top-1 of a ridge probe on {found['num_samples']} {found['select']} samples, "
        f"{percent(found['chance'])} by the most frequent class",
        _sizes(found),
        _candidates(found),
        *_fronts(found),
        _matrix("linear CKA of the features", found, "cka"),
        _matrix("errors in common, of the errors of either", found, "error_overlap"),
        *([_confirmed(found)] if found["confirmed"] else []),
        f"to probe the best: {found['command']}",
    ]
    return "\n\n".join(parts)


def _costs(row: dict[str, Any]) -> list[str]:
    return [f"{row[cost] / scale:.4g}" if cost in row else "" for cost, (_, scale) in UNITS.items()]


def _subsets(rows: Sequence[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        low, high = row["val_top1_interval"]
        interval = f"{100 * low:.1f}-{100 * high:.1f}"
        lines.append([row["features"], *_costs(row), f"{row['weight_decay']:g}", percent(row["val_top1"]), interval])
    return text_table(["features", *(name for name, _ in UNITS.values()), "weight decay", "top-1", "95 %"], lines)


def _sizes(found: dict[str, Any]) -> str:
    return "best of each size\n" + _subsets([found["subsets"][i] for i in found["best_per_size"]])


def _fronts(found: dict[str, Any]) -> list[str]:
    """One table for each cost; those with the same subsets are one."""
    fronts: dict[tuple[int, ...], list[str]] = {}
    for cost, front in found["pareto"].items():
        fronts.setdefault(tuple(front), []).append(UNITS[cost][0])
    return [
        f"nothing cheaper is as good, by {', '.join(names)}\n{_subsets([found['subsets'][i] for i in front])}"
        for front, names in fronts.items()
    ]


def _candidates(found: dict[str, Any]) -> str:
    whole = found["largest"] == len(found["candidates"]) and found["how"] == "exhaustive"
    head = ["candidate", "alone", "last to join", "Shapley" if whole else "mean contribution", "95 %"]
    lines = []
    for one in sorted(found["candidates"], key=lambda one: -one["shapley"]):
        low, high = one["shapley_interval"]
        last = "" if one["leave_one_out"] is None else f"{100 * one['leave_one_out']:+.2f}"
        value, interval = f"{100 * one['shapley']:+.2f}", f"{100 * low:+.2f} to {100 * high:+.2f}"
        lines.append([one["features"], percent(one["alone"]), last, value, interval])
    return "what each adds, in points of top-1\n" + text_table(head, lines)


def _matrix(title: str, found: dict[str, Any], name: str) -> str:
    names = [one["features"] for one in found["candidates"]]
    lines = [
        [one, *(f"{value:.2f}" for value in row)] for one, row in zip(names, found["redundancy"][name], strict=True)
    ]
    return f"{title}\n" + text_table(["", *names], lines)


def _confirmed(found: dict[str, Any]) -> str:
    lines = [
        [row["features"], percent(row["val_top1"]), percent(row["solver_val_top1"]), percent(row["solver_top1"])]
        for row in found["confirmed"]
    ]
    solver = found["confirmed"][0]["solver"]
    table = text_table(["features", "ridge, val", f"{solver}, val", f"{solver}, test"], lines)
    agreement = found["rank_correlation"]
    if agreement is None:
        return f"confirmed\n{table}"
    return (
        f"confirmed\n{table}\nrank correlation of ridge and {solver} on val over these {agreement['num']}: "
        f"Spearman {agreement['spearman']:.3f}, Kendall {agreement['kendall']:.3f}"
    )
