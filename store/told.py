"""Sentences that several commands print alike. Imports nothing heavy: the report reads records without numpy."""

from collections.abc import Mapping


def overlap_text(found: Mapping[str, int]) -> list[str]:
    """What `store.overlap.check_apart` counted, for people: `3 images of train and test are the same, or of one unit`.

    Args:
        found: two splits, `train/test`, or one, `novel`, where a split has an image twice -> images.
    """
    return [
        f"{count} images of {' and '.join(sides.split('/'))} are the same, or of one unit"
        for sides, count in found.items()
    ]
