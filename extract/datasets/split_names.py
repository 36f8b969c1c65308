"""Split names by habit and case: `Train`, `valid`, `Validation`, `testing` and their kind are train, val and test."""

from collections.abc import Iterable

from extract.datasets import warn_once
from store.errors import BadValue
from store.habits import usual


def as_splits(names: Iterable[str], where: str) -> dict[str, str]:
    """{split: the name that it has at `where`}, in the order of `names`; a name that is not the split's own is told.

    Raises `BadValue`: two names mean one split.
    """
    found = dict[str, str]()
    for name in names:
        split = usual(name)
        if split in found:
            raise BadValue(f"{where}: {found[split]!r} and {name!r} both mean the split {split}; rename one of them")
        found[split] = name
    renamed = [f"{name} is {split}" for split, name in found.items() if name != split]
    if renamed:
        warn_once(f"{where}: by their names, {', '.join(renamed)}")
    return found
