"""Between which bounds the numbers of a probe or a search must lie, by the name of their field."""

from collections.abc import Mapping, Sequence
from typing import Any

from store.errors import UnknownName
from store.flags import check_number

BOUNDS = {
    "folds": (2, 10**6), "epochs": (1, 10**6), "batch": (1, 2**31 - 1), "views": (1, 10**6), "k": (1, 2**31 - 1),
    "memory": (1, 2**63 - 1), "seed": (0, 2**63 - 1), "seeds": (0, 2**63 - 1), "lr": (0, 1e38),
    "weight_decay": (0, 1e38), "penalty": (0, 1e38), "anneal": (0, 2**63 - 1), "budget": (1, 10**6),
    "limit": (1, 10**7), "orders": (0, 10**6), "confirm": (0, 10**6),
}  # fmt: skip
"""Both included: what float32 and generators of random numbers can hold, and what a run can finish."""


def check_numbers(config: Any) -> None:
    """Raise `BadValue` for a number of a config, or of one of its grids, that lies outside its bounds."""
    for name, (least, most) in BOUNDS.items():
        values = getattr(config, name, None)
        for value in values if isinstance(values, tuple) else (values,):
            if value is not None:
                check_number(flag_of(name), value, least, most)


def check_choices(config: Any, choices: Mapping[str, Sequence[str]]) -> None:
    """Raise `UnknownName` for a field that is none of its choices."""
    for name, known in choices.items():
        if (value := getattr(config, name)) not in known:
            raise UnknownName(flag_of(name), str(value), known, f"one of {', '.join(known)}")


def flag_of(name: str) -> str:
    """The flag that sets a field: `weight_decay` -> `--weight-decay`."""
    return "--" + name.replace("_", "-")
