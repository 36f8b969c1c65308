"""Which split trains, chooses and tests, where the command does not say it."""

import logging

from store.features import backbones
from store.keys import dataset_name
from store.listing import is_retired, read_listing, stored_splits
from store.opening import remove_command
from store.root import Root

log = logging.getLogger("probe")

VAL = "val"
"""The split that chooses, where there is one and none is named."""


def is_there(root: Root, dataset: str, split: str) -> bool:
    """Whether a dataset has a split today, with features; one that it has no longer is told in the log."""
    if split in stored_splits(root, dataset):
        return True
    name = dataset_name(dataset)
    listing = read_listing(root, name)
    if listing and listing.splits.get(split):
        log.warning("%s has a split %s, but no features of it are stored: it is not used", name, split)
    if is_retired(listing, split) and backbones(root, name, split):
        log.warning(
            "%s has no split %s any more: its features, which are still stored, are not used; remove them: %s",
            name, split, remove_command(root, f"{name}/{split}/*"),
        )  # fmt: skip
    return False


def find_roles(
    root: Root, dataset: str, *, train: str, val: str | None, test: str, used: tuple[str, ...]
) -> dict[str, str]:
    """{role: split}, without val where a part of train takes its place.

    Args:
        val: None: the split `val`, where the dataset has it; `none`, or one of `used`: a part of train.
        used: splits that have another part already.
    """
    chosen = val if val is not None else VAL if VAL not in used and is_there(root, dataset, VAL) else "none"
    roles = {"train": train, "val": chosen, "test": test}
    if chosen in ("none", *used):
        del roles["val"]
    return roles
