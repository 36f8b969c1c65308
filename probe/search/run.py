"""One search: candidates, Gram blocks, scores, what each is worth, the best confirmed, the record."""

import json
import logging
import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Any

import numpy as np
import torch

from probe import ranks
from probe.config import ProbeConfig
from probe.features import parse_features
from probe.keep import used_features
from probe.metrics import wilson
from probe.probing import pick_device, probe
from probe.search import worth
from probe.search.candidates import Candidates, draw, open_candidates, rounds
from probe.search.config import SearchConfig
from probe.search.explore import Found, everything, greedy
from probe.search.memory import plan_memory
from probe.search.scores import Scored, Scorer
from probe.search.table import text
from store.errors import BadValue
from store.records import Record, write_record
from store.root import Root

log = logging.getLogger("probe")
COSTS = ("dim", "stored_bytes", "backbone_parameters", "backbone_flops_per_image")


def run(root: Root, config: SearchConfig, *, as_json: bool, out: IO[str]) -> int:
    """Search and print tables, or one JSON document: the record's metrics. Only rank 0 prints."""
    ranks.start(pick_device(config.device))
    try:
        found = search(root, config)
        if ranks.is_first():
            print(json.dumps(found, indent=1) if as_json else text(found), file=out)
    finally:
        ranks.stop()
    return 0


def search(root: Root, config: SearchConfig) -> dict[str, Any]:
    """Score subsets of the candidates by a ridge probe, and confirm the best.

    Returns: the metrics of the record that it writes, and its id: JSON values; docs/SEARCH.md says what they are.
    Raises `UserError`: features are missing, fewer than two candidates, a budget beyond them, too little memory.
    """
    times = [time.monotonic()]
    device = pick_device(config.device)
    probing = _probe_config(config)
    blocks = parse_features(root, config.dataset, config.train, config.features)
    found = open_candidates(root, probing, blocks, device, test=config.confirm > 0)
    count = len(found.blocks)
    if config.budget is not None and config.budget > count:
        raise BadValue(f"--budget {config.budget}: --features names {count} candidates; give {count} or fewer")
    largest = config.budget or count
    drawn = draw(found, probing)
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    at_once = min(worth.number_of_subsets(count, largest), config.limit)
    plan = plan_memory(found, config.memory, drawn.held, min(threads, len(config.weight_decay)), at_once)
    several, made = rounds(root, found, drawn, device, kfold=config.select == "kfold")
    times.append(time.monotonic())
    scorer = Scorer(several, config.weight_decay, chunk=plan.chunk, threads=plan.threads)
    del several  # the scorer holds what it needs of them
    scores = _explore(scorer, config, found.dims, largest)
    times.append(time.monotonic())
    metrics = {**_summary(found, scores, scorer.rounds, largest, config), "blocks_made": made}
    metrics |= _confirm(root, config, probing, metrics["subsets"])
    times.append(time.monotonic())
    best, enough = (metrics["subsets"][i]["features"] for i in (0, metrics["enough"]))
    metrics |= {"command": _command(config, best), "enough_command": _command(config, enough)}
    if not ranks.is_first():
        return metrics
    record = write_record(
        root,
        Record(
            kind="search",
            config=asdict(config),
            features=used_features(found.splits),
            targets={f"{role}:{split.target.column}": split.target.hash for role, split in found.splits.items()},
            metrics=metrics,
            seconds=dict(zip(("blocks", "search", "confirm"), np.diff(times).tolist(), strict=True)),
        ),
    )
    return {**metrics, "record": record.id, "seconds": dict(record.seconds)}


def _probe_config(config: SearchConfig) -> ProbeConfig:
    same = (
        "dataset",
        "target",
        "store",
        "train",
        "val",
        "test",
        "select",
        "folds",
        "seed",
        "allow_duplicates",
        "device",
        "memory",
        "solver",
    )
    return ProbeConfig(features=(), **{name: getattr(config, name) for name in same})


def _explore(scorer: Scorer, config: SearchConfig, dims: list[int], largest: int) -> Found:
    number = worth.number_of_subsets(len(dims), largest)
    if number <= config.limit:
        return everything(scorer, dims, largest)
    log.warning(
        "%d candidates have %d subsets of up to %d, more than --limit %d: greedy forward and backward instead, and %d "
        "random orders for contributions. A smaller --budget or --limit %d tries all",
        len(dims), number, largest, config.limit, config.orders, number,
    )  # fmt: skip
    return greedy(scorer, dims, largest, config.orders, config.seed)


def _summary(
    found: Candidates, scores: Found, several: Sequence[Scored], largest: int, config: SearchConfig
) -> dict[str, Any]:
    count, names = len(found.blocks), list(map(str, found.blocks))
    chance = np.concatenate([one.y_N == int(one.normal.mean_C.argmax()) for one in several])
    correct = {subset: score.correct for subset, score in scores.items()} | {(): chance}
    order = sorted(scores, key=lambda subset: (-scores[subset].top1, len(subset), scores[subset].nll, subset))
    rows: list[dict[str, Any]] = [
        {
            "members": list(subset),
            "features": ",".join(names[i] for i in subset),
            **found.costs(subset),
            "val_top1": scores[subset].top1,
            "val_top1_interval": wilson(int(scores[subset].correct.sum()), len(chance)),
            "weight_decay": scores[subset].weight_decay,
        }
        for subset in order
    ]
    shares = worth.shapley(correct, count, largest)
    everything_, alone = tuple(range(count)), [(i,) for i in range(count)]
    candidates = []
    for i, bounds in enumerate(worth.interval(shares, config.seed)):
        others = everything_[:i] + everything_[i + 1 :]
        both = everything_ in scores and others in scores
        candidates.append(
            {
                "features": names[i],
                **found.costs([i]),
                "alone": scores[i,].top1,
                "leave_one_out": scores[everything_].top1 - scores[others].top1 if both else None,
                "shapley": float(shares[i].mean()),
                "shapley_interval": bounds,
            }
        )
    return {
        "dataset": config.dataset,
        "target": config.target,
        "select": config.select,
        "how": "exhaustive" if len(scores) == worth.number_of_subsets(count, largest) else "greedy",
        "largest": largest,
        "num_subsets": len(scores),
        "num_samples": len(chance),
        "num_classes": len(found.classes),
        "chance": float(chance.mean()),
        **({"overlap": found.overlap} if found.overlap else {}),
        "candidates": candidates,
        "subsets": rows,
        "best_per_size": worth.best_per_size(rows),
        "enough": worth.enough(rows, len(chance)),
        "pareto": {cost: front for cost in COSTS if (front := worth.pareto(rows, cost))},
        "redundancy": {
            "cka": several[0].normal.alignment().tolist(),
            "error_overlap": worth.error_overlap([scores[one].correct for one in alone]).tolist(),
        },
    }


def _confirm(root: Root, config: SearchConfig, probing: ProbeConfig, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The best subsets, probed by the full solver as `python -m probe` would."""
    confirmed = []
    for row in rows[: config.confirm]:
        (full,) = probe(root, probing, row["features"])
        found = {"solver_val_top1": full["val_top1"], "solver_top1": full["top1"], "record": full.get("record")}
        confirmed.append({"features": row["features"], "val_top1": row["val_top1"], "solver": config.solver, **found})
    pairs = [(one["val_top1"], one["solver_val_top1"]) for one in confirmed]
    return {
        "confirmed": confirmed,
        "rank_correlation": worth.rank_correlation(*zip(*pairs, strict=True)) if pairs else None,
    }


def _command(config: SearchConfig, features: str) -> str:
    """The probe to run next, in full."""
    default = SearchConfig(features="")
    flags = ["--features", features]
    for name in ("dataset", "target", "store", "train", "val", "test", "select", "folds", "seed", "solver"):
        if (value := getattr(config, name)) != getattr(default, name):
            flags += [f"--{name}", str(value)]
    flags += ["--allow-duplicates"] if config.allow_duplicates else []
    return shlex.join(["python", "-m", "probe", *flags])
