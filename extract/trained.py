"""Backbones that were trained here: one folder each, `<root>/<name>/`, addressed by name like any other.

    backbone.json          what it is and how it was made, the sha256 of the two files below and of itself; written
                           last: its presence is the commit
    weights.safetensors    the network without its head
    head.safetensors       weight (C, D) and bias (C,), or weight alone for a cosine head; where it has one
    e10/                   a snapshot after 10 epochs, the same files: `<name>@e10`

While a run goes on there are also run.json, log.jsonl and checkpoint.pt: extract/training/run_folder.py.
Imports no torch.
"""

import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any

from extract.backbone import Backbone
from extract.images.recipes import Augment, Recipe
from extract.models.architectures import find_architecture
from extract.weights.table import Weights
from store.errors import BadValue
from store.fingerprint import sha256_json
from store.json_text import parse_json
from store.keys import check_name, user_path

log = logging.getLogger("extract")

FORMAT = 1
SEAL = "backbone_sha256"
"""The field of backbone.json that holds the sha256 of the others, as `store.fingerprint.sha256_json` makes it."""
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
    # a folder of an earlier version does not say whether it has a head
    has_head = made["head_sha256"] is not None if SEAL in made else (folder / HEAD).is_file()
    weights = Weights(layout="own_names", path=str((folder / WEIGHTS).absolute()), sha256=made["weights_sha256"])
    return Backbone(
        name=name,
        arch=made["arch"],
        dim=made["dim"],
        weights=weights,
        recipe=read_recipe(made["recipe"]),
        note=made.get("note", ""),
        head=str(folder / HEAD) if has_head else None,
        head_sha256=made.get("head_sha256") or "",
    )


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """A description as JSON values, with the sha256 of all that it says."""
    plain = json.loads(json.dumps(values))  # tuples become lists before they are hashed
    return {**plain, SEAL: sha256_json(plain)}


def describe(folder: Path) -> dict[str, Any]:
    """backbone.json, checked: it is what was written, and nothing in it can name a file elsewhere or code to run.

    One of an earlier version, which holds no sha256 of itself, is taken with a warning. Raises `BadValue`.
    """
    file = folder / DESCRIPTION
    try:
        made: dict[str, Any] = parse_json(file.read_text())
        newer = made["format"] > FORMAT
        parts = made["arch"].split("+")
        if not newer and (
            not isinstance(made["dim"], int) or not re.fullmatch(r"[0-9a-f]{64}", made["weights_sha256"])
        ):
            raise ValueError(f"dim {made['dim']!r}, weights_sha256 {made['weights_sha256']!r}")  # noqa: TRY301
        checked = SEAL in made or "head_sha256" in made  # both or, in earlier versions, neither
        if not newer and checked and made != sealed({key: made[key] for key in made if key != SEAL}):
            raise ValueError("it was changed after it was written")  # noqa: TRY301
        read_recipe(made["recipe"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise BadValue(f"{file} does not describe a backbone ({why}); remove {folder} and train it again") from error
    if newer:
        raise BadValue(f"{file} has format {made['format']}, this version reads up to {FORMAT}: update Motherlode")
    if not checked:
        _tell_unchecked(folder)
    for part in parts:
        if find_architecture(part) is None and not re.fullmatch(r"(torchvision|timm):[\w.-]+", part):
            raise BadValue(
                f"{file}: the architecture {part!r} is none of ours, and code that a file names is not run; if it is "
                f"your own network: --backbone {part} --weights {folder / WEIGHTS}"
            )
    return made


@cache
def _tell_unchecked(folder: Path) -> None:
    log.warning(
        "%s was written by an earlier version, which kept no sha256 of %s and %s: they are used unchecked",
        folder,
        DESCRIPTION,
        HEAD,
    )


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
