"""What a result says only where there is enough to judge by: the worst group, top-5. Data only, no torch."""

from collections.abc import Mapping

LEAST = 10
"""Samples that a group needs to be called the worst: the accuracy of one image is 0 or 1, whatever the head."""
LEAST_CLASSES = 6
"""Classes that heads choose among from which on there is a top-5: of five or fewer it is always 1."""
TOLD = f"worst group: of those with {LEAST} or more"


def worst_group(accuracy: Mapping[str, float], samples: Mapping[str, int]) -> str | None:
    """The group of the lowest accuracy, the first of equals; None where no group has LEAST samples.

    Args:
        accuracy: share of each group. samples: of each group; one that is not named has none.
    """
    judged = [name for name in accuracy if samples.get(name, 0) >= LEAST]
    return min(judged, key=accuracy.__getitem__, default=None)
