"""Images that are in the store under another dataset's name: their folder was moved, and its name is its path."""

import logging

from store.keys import from_folder, to_folder
from store.root import Root
from store.sample_files import samples_folder
from store.samples import Samples

log = logging.getLogger("store")


def stored_as(root: Root, samples: Samples) -> list[str]:
    """Other datasets with features of the same ids and sizes in a split of this name, where this one has none yet."""
    mine = to_folder(samples.dataset)
    if root.list(f"features/{mine}"):
        return []
    others = [from_folder(name) for name, size in sorted(root.list("features").items()) if size is None]
    return [
        name
        for name in others
        if root.size(f"{samples_folder(name, samples.split, samples.id)}/samples.json") is not None
    ]


def warn_if_moved(root: Root, samples: Samples) -> None:
    """Say under which name features of these images are there, before they are made again."""
    if others := stored_as(root, samples):
        log.warning(
            "%s/%s: images of the same names and sizes are in the store as %s. If their folder was moved, their "
            "features are copied from there by what is in each file, without a network, all but those of random views; "
            "commands that read features take the old name too: --dataset %s",
            samples.dataset, samples.split, ", ".join(others), others[0],
        )  # fmt: skip
