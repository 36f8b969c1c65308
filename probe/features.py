"""The feature list: `a,b:l2,c:std:pca256,d[0:2048]` -> names, columns and steps. Data only, no torch."""

import re
from dataclasses import dataclass, field

from store.braces import split_list
from store.concat import Concat, expand_names, open_features
from store.errors import BadValue
from store.features import backbones
from store.keys import dataset_name
from store.root import Root

STEPS = "l2, std, raw, pcaK"
DEFAULT_STEPS = ("std",)
"""A block without options is standardised: every column to mean 0 and variance 1 over the training rows."""

_ITEM = re.compile(
    r"(?P<names>.*?)(?:\[(?P<low>\d{0,9}):(?P<high>\d{0,9})\])?(?P<steps>(?::(?:l2|std|raw|pca\d{1,9}))*)", re.DOTALL
)
_LONGEST = 10_000
"""The most letters of one item."""


@dataclass(frozen=True)
class Block:
    """One backbone's columns in a concatenation, and what happens to them before the head."""

    name: str
    low: int | None = None
    high: int | None = None
    """Columns low to high - 1; None: from the first, to the last."""
    steps: tuple[str, ...] = DEFAULT_STEPS
    """In order: l2 (each row to length 1), std (each column to mean 0, variance 1), pcaK (onto K components)."""
    spelled: bool = field(default=False, compare=False)
    """Whether the text of the block names `std` too, because a block without options was something else."""

    def __str__(self) -> str:
        columns = f"[{self.low or 0}:{'' if self.high is None else self.high}]" if self.low or self.high else ""
        silent = self.steps == DEFAULT_STEPS and not self.spelled
        steps = "" if silent else "".join(f":{step}" for step in self.steps or ("raw",))
        return f"{self.name}{columns}{steps}"


def parse_features(
    root: Root, dataset: str, split: str, text: str, default: tuple[str, ...] = DEFAULT_STEPS
) -> list[Block]:
    """Blocks of `text`; braces and globs expand to what is stored, and options hold for each expanded name.

    A block without options has the steps `default`.

    Raises `BadValue`: nothing named, an empty column range, or an option that is none of STEPS.
    """
    blocks = []
    for item in split_list(text):
        if len(item) > _LONGEST:
            raise BadValue(f"features {item[:40]!r}...: one item of {len(item)} letters, the most is {_LONGEST}")
        found = _ITEM.fullmatch(item)
        assert found is not None
        names, low, high = found["names"], found["low"], found["high"]
        steps = found["steps"].split(":")[1:]
        if steps and low is high is None:  # a stored name that ends like an option is a name
            stored = backbones(root, dataset_name(dataset), split)
            longer = (count for count in range(len(steps), 0, -1) if ":".join([names, *steps[:count]]) in stored)
            count = next(longer, 0)
            names, steps = ":".join([names, *steps[:count]]), steps[count:]
        if not names or "[" in names or "]" in names:
            raise BadValue(f"features {item!r}: write name, name[low:high], name:l2 or name[low:high]:pca64:l2")
        name, colon, step = names.rpartition(":")
        if colon and names not in (stored := backbones(root, dataset_name(dataset), split)) and name in stored:
            raise BadValue(f"features {item!r}: {step!r} is none of {STEPS}, and no features {names!r} are stored")
        columns = (int(low) if low else None, int(high) if high else None)
        if columns[1] is not None and columns[1] <= (columns[0] or 0):
            raise BadValue(f"features {item!r}: columns {low or 0} to {high} are none")
        if "pca0" in steps:
            raise BadValue(f"features {item!r}: pca needs at least one component")
        taken = tuple(step for step in steps if step != "raw") if steps else default
        expanded = expand_names(root, dataset_name(dataset), split, names)
        blocks += [Block(name, *columns, taken, spelled=default != DEFAULT_STEPS) for name in expanded]
    if not blocks:
        raise BadValue(f"no feature names in {text!r}: give --features a,b,c")
    return blocks


def open_blocks(root: Root, dataset: str, split: str, blocks: list[Block], *, view: int = 0) -> Concat:
    """The concatenation of the blocks' backbones, all columns."""
    return open_features(root, dataset, split, ",".join(block.name for block in blocks), view=view)


def column_ranges(x: Concat, blocks: list[Block]) -> list[tuple[int, int]]:
    """Columns (low, high) that each block keeps of its part. Raises `BadValue`: beyond the backbone's dim."""
    ranges = []
    for block, part in zip(blocks, x.parts, strict=True):
        low, high = block.low or 0, part.dim if block.high is None else block.high
        if high > part.dim or low >= high:
            raise BadValue(f"features {block}: {block.name} has columns 0 to {part.dim - 1}")
        ranges.append((low, high))
    return ranges
