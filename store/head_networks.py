"""The networks whose features a head was trained on: written into the head, and compared where it is applied."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from store.errors import BadValue, FormatError
from store.fingerprint import IMPORTED
from store.manifest import Manifest

log = logging.getLogger("store")
PARTS = ("architecture", "layer", "pooling", "recipe")
"""Parts of the fingerprint that a head depends on, beside the weights; the recipe last."""


def networks_of(manifests: Sequence[Manifest]) -> list[dict[str, Any]]:
    """What makes two sets of features comparable, for each set: name, weights, architecture, layer, pooling, recipe.

    Precision, dtype and samples are left out: a head stays right for features in float16 or of other images. Imported
    features have no weights: each of their files has a hash of its own.
    """
    return [
        {
            "backbone": m.backbone,
            **({} if m.parts["architecture"] == IMPORTED else {"weights": m.parts["weights"]}),
            **{part: m.parts[part] for part in PARTS},
        }
        for m in manifests
    ]


def check_networks(who: str, info: Mapping[str, Any], manifests: Sequence[Manifest]) -> None:
    """Compare the networks in a head's `info` with those of the features that it is to be applied to.

    The recipe counts where the images are of the dataset that the head was trained on (another dataset may prescribe
    another crop). Raises as `compare_networks`.
    """
    trained = [info.get("stored_dataset", m.dataset) for m in manifests]
    compare_networks(
        who,
        info,
        networks_of(manifests),
        [str(m.key) for m in manifests],
        recipe=[m.dataset == dataset for m, dataset in zip(manifests, trained, strict=True)],
    )


def compare_networks(
    who: str,
    info: Mapping[str, Any],
    given: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    *,
    recipe: Sequence[bool],
) -> None:
    """Compare the networks in a head's `info` with those that are `given`, as `networks_of` describes them.

    A head written before heads knew their networks is applied, with a warning.

    Args:
        names: what to call each of the given.
        recipe: whether its recipe counts.
    Raises `FormatError`: the head names no networks that can be read. `BadValue`: they differ in number, weights,
    architecture, layer or pooling, or in a recipe that counts.
    """
    known = info.get("networks")
    if known is None:
        log.warning(
            "%s does not say which networks it is for (heads of earlier versions do not), and is applied unchecked: "
            "`python -m probe` and `python -m extract.heads` make heads that say it",
            who,
        )
        return
    if not isinstance(known, list) or not all(isinstance(one, dict) and "backbone" in one for one in known):
        raise FormatError(f"{who}: what it says of its networks cannot be read; probe again")
    if len(known) != len(given):
        raise BadValue(f"{who} is for {len(known)} feature sets side by side, not {len(given)}")
    for old, new, name, with_recipe in zip(known, given, names, recipe, strict=True):
        compared = ("weights", *PARTS) if with_recipe else ("weights", *PARTS[:-1])
        differ = [part for part in compared if old.get(part) != new.get(part)]
        if differ:
            part = differ[0]
            raise BadValue(
                f"{who} was trained on {old['backbone']} with other {' and '.join(differ)} than {name} has "
                f"({part} {str(old.get(part))[:60]} against {str(new.get(part))[:60]}): give the features that it was "
                "trained on, or probe again"
            )
