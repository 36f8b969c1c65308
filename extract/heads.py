"""`python -m extract.heads`: the classifiers of backbones into the store, under the backbones' names.

`probe --average a,b` then starts from them: two-stage fine-tuning.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.forward.taps import OWN
from extract.images.recipes import for_dataset
from store.errors import BadValue
from store.flags import Parser
from store.keys import dataset_name
from store.root import default_root, open_root
from store.runtime import run_command
from store.tables import table_or_json

if TYPE_CHECKING:
    from extract.loading import Loaded
    from store.heads import StoredHead
    from store.root import Root


def build_parser() -> argparse.ArgumentParser:
    p = Parser(
        prog="python -m extract.heads",
        description="Store the classifiers that come with backbones, published ones or trained here, under the "
        "backbones' names, for  python -m probe --solver sgd --average A,B",
    )
    p.add_argument("--backbone", required=True, metavar="A,B", help="also a{0..2} and b*")
    p.add_argument("--weights-root", metavar="DIR", help="where weights files are kept")
    p.add_argument("--backbones", metavar="DIR", help="where trained backbones are kept")
    p.add_argument("--store", default=default_root(), help="folder or s3://bucket/prefix (default: %(default)s)")
    p.add_argument("--json", action="store_true", help="print one JSON document")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    from extract.backbones import list_backbones

    options = build_parser().parse_args(argv)
    root = open_root(options.store)
    rows = []
    if not (asked := list_backbones(options.backbone, options.backbones)):
        raise BadValue("name at least one backbone: --backbone a,b (see `python -m extract --list`)")
    for name in asked:
        head, (num_classes, dim) = keep_head(root, name, options.backbones, options.weights_root)
        rows.append((name, head, num_classes, dim))
    print(table_or_json(("backbone", "head", "classes", "dim"), rows, as_json=options.json))
    return 0


def keep_head(
    root: "Root", name: str, backbones: str | None = None, weights_root: str | None = None
) -> tuple[str, tuple[int, int]]:
    """Store the classifier of a backbone under the backbone's name; returns that name and the shape (C, D).

    Raises: BadValue: its weights hold no classifier.
    """
    from store.heads import save_head

    head = read_head(name, backbones, weights_root)
    return save_head(root, head, head.info["features"][0]), (head.weight.shape[0], head.weight.shape[1])


def read_head(name: str, backbones: str | None = None, weights_root: str | None = None) -> "StoredHead":
    """The classifier of a backbone, as the store keeps heads. Raises: BadValue: its weights hold none."""
    import numpy as np

    from extract.backbones import find_backbone
    from extract.loading import load, load_head  # torch loads here
    from extract.trained import describe
    from store.heads import StoredHead

    backbone = find_backbone(name, backbones)
    weight, bias = load_head(name, weights_root=weights_root, backbones=backbones)
    made = describe(Path(backbone.head).parent) if backbone.head else {}
    dataset = made.get("made", {}).get("dataset", "")
    info = {
        "dataset": dataset,
        "stored_dataset": dataset_name(dataset) if dataset else "",
        "networks": [network_of(load(name, weights_root=weights_root, backbones=backbones), dataset)],
        "target": (made.get("made", {}).get("target") or ["label"])[0],
        "classes": made.get("classes", []),
        "features": [backbone.name],
        "widths": [weight.shape[1]],
        "steps": [[]],
        "normalise": bias is None,
    }
    return StoredHead(weight=weight, bias=np.zeros(len(weight), np.float32) if bias is None else bias, info=info)


def network_of(loaded: "Loaded", dataset: str) -> dict[str, Any]:
    """What a head is for, as `networks_of` in store/head_networks.py says it of features."""
    return {
        "backbone": loaded.name,
        "weights": loaded.weights_sha256,
        "architecture": loaded.architecture,
        "layer": OWN.layer,
        "pooling": OWN.pooling,
        "recipe": for_dataset(loaded.recipe, dataset).parts(),
    }


if __name__ == "__main__":
    sys.exit(run_command("extract.heads", main))
