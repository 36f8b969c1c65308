"""`python -m probe.predict`: apply a stored head to a split."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from store.errors import BadValue, FormatError, UserError
from store.flags import Parser
from store.results import open_for_results
from store.root import Root
from store.runtime import run_command

if TYPE_CHECKING:
    from probe.features import Block
    from store.concat import Concat
    from store.heads import StoredHead

log = logging.getLogger("probe")


def build_parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="python -m probe.predict",
        description="Apply a stored head to the features of a split; where the split has targets, score it.",
    )
    p.add_argument(
        "--head", required=True, metavar="ID", help="as `python -m probe` printed it (--json) and recorded it"
    )
    p.add_argument("--features", metavar="A,B,C", help="other features of the same columns (those of its training)")
    p.add_argument("--dataset", help="other than the one of its training")
    p.add_argument("--split", default="test", help="%(default)s")
    p.add_argument("--store", help="path or s3:// URL ($FEATURE_STORE or data/features)")
    p.add_argument("--records", metavar="DIR", help="the store that --records of `python -m probe` named (--store)")
    p.add_argument("--json", action="store_true", help="one JSON document: the score, and each sample's class")
    return p


def predict_split(
    root: Root, name: str, features: str | None = None, dataset: str | None = None, split: str = "test"
) -> dict[str, Any]:
    """Classes of every sample, and the accuracy over those that have a target of the head's column.

    Returns: {"top1": accuracy or None, "num_samples", "num_scored", "predictions": {sample id: class name}, and
    "trained_on": {"toy/train": 3} where so many of the samples are those that the head was trained or chosen on}.
    Raises `BadValue`: the features have other columns than the head, or are of other networks.
    """
    import numpy as np
    import torch

    from probe.data import Streamed
    from probe.features import column_ranges, open_blocks, parse_features
    from probe.prepare import Prepare
    from store.head_networks import check_networks
    from store.heads import load_head
    from store.source import check_source

    head = load_head(root, name)
    if lacking := {"dataset", "target", "classes", "features", "widths", "steps", "normalise"} - head.info.keys():
        raise FormatError(f"head {name} of {root.url} says nothing of its {', '.join(sorted(lacking))}: probe again")
    where = dataset or head.info["dataset"]
    blocks = parse_features(root, where, split, features or ",".join(head.info["features"]))
    x = open_blocks(root, where, split, blocks)
    check_source(root, where, {split: x})
    ranges = column_ranges(x, blocks)
    widths = [high - low for low, high in ranges]
    if widths != head.info["widths"]:
        raise BadValue(f"head {name} has blocks of {head.info['widths']} columns, {features} of {widths}")
    check_networks(f"head {name}", head.info, [part.manifest for part in x.parts])
    prepare = Prepare.from_state(widths, head.info["steps"], head.arrays)
    source, step = Streamed(x, ranges), x.stride
    chosen = [
        np.argmax(_logits(head, prepare(torch.from_numpy(source.read(slice(start, start + step))))), axis=1)
        for start in range(0, len(x), step)
    ]
    classes = head.info["classes"]
    names = [classes[int(c)] for c in np.concatenate(chosen)]
    target = x.samples.targets.get(head.info["target"])
    truth = [target.classes[int(i)] if i >= 0 else None for i in target.index] if target else []
    right = [guess == name for guess, name in zip(names, truth, strict=False) if name is not None]
    return {
        "top1": sum(right) / len(right) if right else None,
        "num_samples": len(names),
        "num_scored": len(right),
        **_seen(root, head, blocks, x),
        "predictions": dict(zip(x.samples.ids, names, strict=True)),
    }


def _seen(root: Root, head: "StoredHead", blocks: "list[Block]", x: "Concat") -> dict[str, Any]:
    """How many of x's images the head was trained or chosen on; a warning says so. Empty: none that is known."""
    import numpy as np

    from probe.features import open_blocks
    from store.overlap import check_apart

    here, found = (x.parts[0].manifest.dataset, x.parts[0].manifest.split), {}
    for dataset, split in map(tuple, head.info.get("trained_on", ())):
        name, count = f"{dataset}/{split}", len(x) if (dataset, split) == here else 0
        if not count:
            with suppress(UserError):  # what it was trained on is no longer stored: nothing to compare with
                other = open_blocks(root, dataset, split, blocks)
                sides = {"trained": (other, np.arange(len(other))), "this": (x, np.arange(len(x)))}
                count = check_apart(sides, allowed=True).get("trained/this", 0)
        if count:
            found[name] = count
            log.warning("%d of these %d images are among %s, which this head was trained or chosen on: on them it is "
                        "better than on new ones", count, len(x), name)  # fmt: skip
    return {"trained_on": found} if found else {}


def _logits(head: "StoredHead", x_BD: Any) -> Any:
    x = x_BD.numpy()
    if head.info["normalise"]:
        import numpy as np

        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return x @ head.weight.T + head.bias


def main(argv: Sequence[str] | None = None) -> int:
    options = build_parser().parse_args(argv)
    root = open_for_results(options.store, options.records)
    found = predict_split(root, options.head, options.features, options.dataset, options.split)
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    for sample, name in found["predictions"].items():
        print(f"{sample}\t{name}")
    if found["top1"] is not None:
        print(f"top-1 {100 * found['top1']:.2f} over {found['num_scored']} samples", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("probe.predict", main))
