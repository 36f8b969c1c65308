"""What the name of a concatenation says, and how to write it shorter."""

import re
from functools import lru_cache
from itertools import takewhile
from typing import Any

_OPTIONS = re.compile(r"(?:\[\d*:\d*\])?(?::(?:l2|std|raw|pca\d+))*$")
_WIDE = re.compile(r"(?:resnet\d+w\d+|(?:^|_)[24]resnet50)(?=_|$)")
_COMMA = re.compile(r",(?![^{]*\})")
_SUB = re.compile(r"^(?P<inner>.*?) \(sub, (?P<of>\w+)\)$")
COMMON = 4
"""Shared letters from which on braces are shorter to read than the names."""


def backbones_of(features: str) -> list[str]:
    """`a,b[0:9]:l2 (sub, logits)` -> [a, b]: the distinct backbones, without columns and steps."""
    inner = features.partition(" (sub")[0]
    if features.startswith("ensemble("):
        inner = inner.removeprefix("ensemble(").removesuffix(")")
    parts = (_OPTIONS.sub("", item.strip()) for item in _COMMA.split(inner))
    return list(dict.fromkeys(part for part in parts if part))


def family_of(features: str) -> dict[str, Any]:
    """What kind of a representation it is, as the curves of the paper tell them apart."""
    names = backbones_of(features)
    if not names:
        raise ValueError(f"features {features!r} name no backbone")
    sub = " (sub" in features
    if features.startswith("ensemble("):
        family = "ensemble"
    elif len(names) > 1:
        family = "cat-sub" if sub else "cat"
    elif "distill" in names[0].lower():
        family = "distill"
    elif _WIDE.search(names[0]):
        family = "wide-sub" if sub else "wide"
    else:
        family = "single"
    return {"family": family, "blocks": len(names)}


@lru_cache(1 << 16)
def brief(features: str) -> str:
    """`lite0,lite1,pixels` -> `lite{0,1}, pixels`: the braces that --features takes, a mean of heads as `sub`."""
    if found := _SUB.match(features):
        return f"{brief(found['inner'])} (sub{'' if found['of'] == 'logits' else ', ' + found['of']})"
    if features.startswith("ensemble(") and features.endswith(")"):
        return f"ensemble of {brief(features[9:-1])}"
    runs: list[list[str]] = []
    for name in _COMMA.split(features):
        if runs and len(_shared([*runs[-1], name])) >= COMMON:
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(map(_braces, runs))


def _braces(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    prefix = _shared(names)
    rest = [name[len(prefix) :] for name in names]
    suffix = _shared([part[::-1] for part in rest])[::-1]
    middle = [part[: len(part) - len(suffix)] for part in rest]
    if all(part.isdecimal() for part in middle) and len(middle) > 2 and middle == _count(middle[0], len(middle)):
        return f"{prefix}{{{middle[0]}..{middle[-1]}}}{suffix}"
    return f"{prefix}{{{','.join(middle)}}}{suffix}"


def _shared(texts: list[str]) -> str:
    """The letters that all begin with."""
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    return "".join(letters[0] for letters in same)


def _count(first: str, length: int) -> list[str]:
    return [str(int(first) + i) for i in range(length)]
