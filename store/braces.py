"""Lists of names as a person types them: `a,b{x,y},c{0..9}`."""

import re
from collections.abc import Iterator

from store.errors import BadValue

MOST_NAMES = 10_000
"""The most names that one list may stand for."""
LONGEST = 100_000
"""The most letters of a list."""
DEEPEST = 16
"""The most braces within braces."""


def split_list(text: str) -> list[str]:
    """The items of a list, parted at the commas outside braces, without the blanks around them; empty ones are dropped.

    Raises `BadValue`: a brace without its other half, braces too deep, or a text too long to be a list of names.
    """
    if len(text) > LONGEST:
        raise BadValue(f"a list of {len(text)} letters is too long, the most is {LONGEST}: it begins {text[:40]!r}")
    items, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        if letter == "{":
            depth += 1
        elif letter == "}":
            depth -= 1
        elif letter == "," and not depth:
            items.append(text[start:at])
            start = at + 1
        if depth < 0:
            raise BadValue(f"{_around(text, at)}: this }} closes no {{")
        if depth > DEEPEST:
            raise BadValue(f"{_around(text, at)}: braces in braces, more than {DEEPEST} deep")
    if depth:
        raise BadValue(f"{_around(text, text.rindex('{'))}: this {{ is never closed; write a{{x,y}} or a{{0..9}}")
    return [item for item in map(str.strip, [*items, text[start:]]) if item]


def expand_braces(text: str) -> list[str]:
    """`a{0..2},b{x,y}` -> a0 a1 a2 bx by. Raises `BadValue`: as `split_list`, or more than MOST_NAMES names."""
    names: list[str] = []
    for item in split_list(text):
        for name in _expand(item):
            if len(names) == MOST_NAMES:
                raise BadValue(f"{text[:60]!r} stands for more than {MOST_NAMES} names: name fewer")
            names.append(name.strip())
    return names


def _expand(item: str) -> Iterator[str]:
    start = item.find("{")
    if start < 0:
        yield item
        return
    depth, end = 0, start
    for end in range(start, len(item)):  # the brace that closes the first one
        depth += (item[end] == "{") - (item[end] == "}")
        if not depth:
            break
    inside = item[start + 1 : end]
    bounds = re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})", inside)
    if bounds:
        choices: Iterator[str] = map(str, range(int(bounds[1]), int(bounds[2]) + 1))
    elif re.fullmatch(r"\d+\.\.\d+", inside):
        raise BadValue(f"{_around(item, start)}: numbers of this range are too large")
    else:
        choices = (name for choice in split_list(inside) for name in _expand(choice))
    for choice in choices:
        for rest in _expand(item[end + 1 :]):
            yield item[:start] + choice + rest


def _around(text: str, at: int) -> str:
    return repr(text[max(0, at - 20) : at + 21])
