"""Backbones that were trained here: one folder each, `<root>/<name>/`, addressed by name like any other.

    backbone.json          what it is and how it was made; written last: its presence is the commit
    weights.safetensors    the network without its head
    head.safetensors       weight (C, D) and bias (C,), or weight alone for a cosine head; where it has one
    e10/                   a snapshot after 10 epochs, the same files: `<name>@e10`

While a run goes on there are also run.json, log.jsonl and checkpoint.pt: extract/training/run_folder.py.
Imports no torch.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from extract.backbone import Backbone
from extract.images.recipes import Augment, Recipe
from extract.models.architectures import find_architecture
from extract.weights.table import Weights
from store.errors import BadValue
from store.json_text import parse_json
from store.keys import check_name, user_path

FORMAT = 1
DESCRIPTION, WEIGHTS, HEAD = "backbone.json", "weights.safetensors", "head.safetensors"


def default_root() -> str:
    """$BACKBONES, else data/backbones."""
    return os.environ.get("BACKBONES") or "data/backbones"


def folder_of(name: str, root: str | None = None) -> Path:
    """The folder of `name`, or of a snapshot `name@e10`. Raises `BadValue`: not a name that could be a folder."""
    run, at, snapshot = check_name("backbone", name).partition("@")
    folder = user_path(root or default_root()) / run
    return folder / check_name("snapshot", snapshot) if at else folder


def trained_names(root: str | None = None) -> list[str]:
    """Every whole backbone below the root, snapshots after the run that they are of."""
    top = user_path(root or default_root())
    names = []
    for folder in sorted(path for path in top.glob("*") if path.is_dir()):
        names += [folder.name] if (folder / DESCRIPTION).is_file() else []
        snapshots = [path.parent.name for path in folder.glob(f"e*/{DESCRIPTION}")]
        names += [f"{folder.name}@{name}" for name in sorted(snapshots, key=lambda name: (len(name), name))]
    return names


def find_trained(name: str, root: str | None = None) -> Backbone | None:
    """The row of a backbone that was trained here; None: there is none of this name.

    Raises: BadValue: its run is not finished, or its description cannot be used.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+=-]*", name):
        return None
    folder = folder_of(name, root)
    if not (folder / DESCRIPTION).is_file():
        if (folder / "run.json").is_file():
            raise BadValue(f"the training of {name} in {folder} is not finished: run its command again to go on")
        return None
    made = describe(folder)
    head = folder / HEAD
    weights = Weights(layout="own_names", path=str(folder / WEIGHTS), sha256=made["weights_sha256"])
    return Backbone(
        name=name,
        arch=made["arch"],
        dim=made["dim"],
        weights=weights,
        recipe=read_recipe(made["recipe"]),
        note=made.get("note", ""),
        head=str(head) if head.is_file() else None,
    )


def describe(folder: Path) -> dict[str, Any]:
    """backbone.json, checked: nothing in it can name a file elsewhere or code to run. Raises `BadValue`."""
    file = folder / DESCRIPTION
    try:
        made: dict[str, Any] = parse_json(file.read_text())
        newer = made["format"] > FORMAT
        parts = made["arch"].split("+")
        if not newer and (
            not isinstance(made["dim"], int) or not re.fullmatch(r"[0-9a-f]{64}", made["weights_sha256"])
        ):
            raise ValueError(f"dim {made['dim']!r}, weights_sha256 {made['weights_sha256']!r}")  # noqa: TRY301
        read_recipe(made["recipe"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise BadValue(f"{file} does not describe a backbone ({why}); remove {folder} and train it again") from error
    if newer:
        raise BadValue(f"{file} has format {made['format']}, this version reads up to {FORMAT}: update Motherlode")
    for part in parts:
        if find_architecture(part) is None and not re.fullmatch(r"(torchvision|timm):[\w.-]+", part):
            raise BadValue(
                f"{file}: the architecture {part!r} is none of ours, and code that a file names is not run; if it is "
                f"your own network: --backbone {part} --weights {folder / WEIGHTS}"
            )
    return made


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    """Every field, also those that an evaluation crop does not need."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    return values


def read_recipe(values: Mapping[str, Any]) -> Recipe:
    """Raises ValueError, TypeError: not a recipe."""
    unknown = set(values) - {item.name for item in fields(Recipe)}
    if unknown:
        raise ValueError(f"recipe: unknown {', '.join(sorted(unknown))}")
    plain: dict[str, Any] = {key: _tuples(value) for key, value in values.items()}
    if plain.get("augment") is not None:
        plain["augment"] = Augment(**{key: _tuples(value) for key, value in plain["augment"].items()})
    return Recipe(**plain)


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
