"""What a search found, as tables for people."""

from collections.abc import Sequence
from typing import Any

from probe.table import percent
from store.tables import text_table
from store.told import overlap_text

UNITS = {"dim": ("columns", 1), "stored_bytes": ("MB stored", 1e6), "backbone_parameters": ("M parameters", 1e6),
         "backbone_flops_per_image": ("GFLOP an image", 1e9)}  # fmt: skip


WIDE = 40
"""Characters of a concatenation's names; of longer ones the candidates' numbers are shown."""


def text(found: dict[str, Any]) -> str:
    """The answer first, then what it rests on."""
    how = {
        "exhaustive": f"all subsets of up to {found['largest']}",
        "greedy": "greedy forward, backward, random orders",
    }
    parts = [
        f"{found['num_subsets']} concatenations of {len(found['candidates'])} candidates on {found['dataset']} "
        f"({how[found['how']]}); top-1 of a ridge probe on {found['num_samples']} {found['select']} samples, "
        f"{percent(found['chance'])} by the most frequent class",
        "\n".join([_answer(found), *(f"not apart: {text}" for text in overlap_text(found.get("overlap", {})))]),
        _candidates(found),
        _sizes(found),
        *_fronts(found),
        *([_confirmed(found)] if found["confirmed"] else []),
        _redundancy(found),
        "\n".join(["to probe the best:", f"  {found['command']}", *_other(found)]),
    ]
    return "\n\n".join(parts)


def _answer(found: dict[str, Any]) -> str:
    """The best, the smallest that is not told apart from it, and the best alone."""
    rows = found["subsets"]
    alone = max(found["candidates"], key=lambda one: one["alone"])
    chosen = {"best": rows[0], "enough: the smallest within one standard error": rows[found["enough"]]}
    lines = []
    for name, row in chosen.items():
        more = f"{100 * (row['val_top1'] - alone['alone']):+.2f} over the best alone"
        lines.append(f"{name}: {row['features']}, {percent(row['val_top1'])}, {more}")
    return "\n".join([*lines, f"best alone: {alone['features']}, {percent(alone['alone'])}"])


def _other(found: dict[str, Any]) -> list[str]:
    return ["to probe what is enough:", f"  {found['enough_command']}"] if found["enough"] else []


def _names(found: dict[str, Any], rows: Sequence[dict[str, Any]]) -> list[str]:
    """Of the concatenations of one table: their names, or the numbers of their members."""
    names = [row["features"] for row in rows]
    if max(map(len, names)) <= WIDE:
        return names
    number = {one["features"]: str(i) for i, one in enumerate(found["candidates"], 1)}
    members = {row["features"]: [number[found["candidates"][i]["features"]] for i in row["members"]]
               for row in found["subsets"]}  # fmt: skip
    return [" + ".join(members[name]) for name in names]


def _costs(row: dict[str, Any]) -> list[str]:
    return [f"{row[cost] / scale:.4g}" if cost in row else "" for cost, (_, scale) in UNITS.items()]


def _subsets(found: dict[str, Any], which: Sequence[int]) -> str:
    rows, lines = [found["subsets"][i] for i in which], []
    for name, row in zip(_names(found, rows), rows, strict=True):
        low, high = row["val_top1_interval"]
        interval = f"{100 * low:.1f}-{100 * high:.1f}"
        lines.append([name, *_costs(row), f"{row['weight_decay']:g}", percent(row["val_top1"]), interval])
    head = ["features", *(name for name, _ in UNITS.values()), "weight decay", "top-1", "95 %"]
    known = [k for k in range(len(head)) if any(line[k] for line in lines)]
    return text_table([head[k] for k in known], [[line[k] for k in known] for line in lines])


def _sizes(found: dict[str, Any]) -> str:
    return "best of each size\n" + _subsets(found, found["best_per_size"])


def _fronts(found: dict[str, Any]) -> list[str]:
    """One table for each cost; those with the same subsets are one."""
    fronts: dict[tuple[int, ...], list[str]] = {}
    for cost, front in found["pareto"].items():
        fronts.setdefault(tuple(front), []).append(UNITS[cost][0])
    return [
        f"nothing cheaper is as good, by {', '.join(names)}\n{_subsets(found, front)}"
        for front, names in fronts.items()
    ]


def _candidates(found: dict[str, Any]) -> str:
    """Most valuable first; `most like` is the candidate of the highest linear CKA."""
    whole = found["largest"] == len(found["candidates"]) and found["how"] == "exhaustive"
    head = ["", "candidate", "alone", "last to join", "Shapley" if whole else "mean contribution", "95 %", "most like"]
    lines = []
    for i, one in sorted(enumerate(found["candidates"]), key=lambda pair: -pair[1]["shapley"]):
        low, high = one["shapley_interval"]
        last = "" if one["leave_one_out"] is None else f"{100 * one['leave_one_out']:+.2f}"
        value, interval = f"{100 * one['shapley']:+.2f}", f"{100 * low:+.2f} to {100 * high:+.2f}"
        cka, like = max((value, j) for j, value in enumerate(found["redundancy"]["cka"][i]) if j != i)
        near = f"{like + 1} ({cka:.2f})"
        lines.append([str(i + 1), one["features"], percent(one["alone"]), last, value, interval, near])
    return "what each adds, in points of top-1\n" + text_table(head, lines)


def _redundancy(found: dict[str, Any]) -> str:
    """Both measures are symmetric: one above the diagonal, one below."""
    cka, overlap = (found["redundancy"][name] for name in ("cka", "error_overlap"))
    every = range(len(cka))
    lines = [
        [str(i + 1), *("" if i == j else f"{(cka if i < j else overlap)[i][j]:.2f}" for j in every)] for i in every
    ]
    title = (
        "redundancy: linear CKA of the features above the diagonal; below it errors in common, of the errors of either"
    )
    return f"{title}\n" + text_table(["", *(str(i + 1) for i in every)], lines)


def _confirmed(found: dict[str, Any]) -> str:
    lines = [
        [name, percent(row["val_top1"]), percent(row["solver_val_top1"]), percent(row["solver_top1"])]
        for name, row in zip(_names(found, found["confirmed"]), found["confirmed"], strict=True)
    ]
    solver = found["confirmed"][0]["solver"]
    table = text_table(["features", "ridge, val", f"{solver}, val", f"{solver}, test"], lines)
    agreement = found["rank_correlation"]
    if agreement is None:
        return f"confirmed\n{table}\nrank correlation: undefined of fewer than three, or where all are equal"
    told = (
        f"confirmed\n{table}\nrank correlation of ridge and {solver} on val over these {agreement['num']}: "
        f"Spearman {agreement['spearman']:.3f}, Kendall {agreement['kendall']:.3f}"
    )
    scores = [row["val_top1"] for row in found["confirmed"]]
    low, high = found["subsets"][0]["val_top1_interval"]
    if max(scores) - min(scores) < (high - low) / 2:
        told += (
            f"\nthese lie within {100 * (max(scores) - min(scores)):.2f} points by ridge, less than the "
            f"{50 * (high - low):.2f} that the best is sure to: their order is mostly chance, so is that correlation"
        )
    return told
