"""A figure: what draws it, and what stands above and below."""

import re
from dataclasses import dataclass

from probe.report.plots import WIDTH, Draw


@dataclass(frozen=True)
class Figure:
    name: str
    """A file name."""
    title: str
    caption: str
    draw: Draw
    size: tuple[float, float] = (WIDTH, 3.8)


def slug(*parts: str) -> str:
    """A file name of any texts."""
    return re.sub(r"[^A-Za-z0-9]+", "-", "-".join(parts)).strip("-").lower()[:80]
