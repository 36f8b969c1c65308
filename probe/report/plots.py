"""How figures look, for paper and for both themes of the page.

Colours are those of Okabe and Ito (2008), told apart by every kind of colour vision; marker and line say the same once
more, for print in grey. Imports matplotlib late: tables must work without it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast

from store.errors import BadValue

INK, MUTED, FAINT, PAPER = "#1b1f23", "#5c6670", "#d8dbd8", "#ffffff"
BLUE, SKY, ORANGE, RED, GREEN, PINK = "#0072b2", "#56b4e9", "#e69f00", "#d55e00", "#009e73", "#cc79a7"
ROLES = {
    INK: "ink", MUTED: "muted", FAINT: "line", PAPER: "paper", BLUE: "blue", SKY: "sky", ORANGE: "orange", RED: "red",
    GREEN: "green", PINK: "pink",
}  # fmt: skip
"""Colour -> CSS variable of the page, which has a value for each theme."""
WIDTH, HEIGHT = 6.4, 4.0
"""Inches."""


@dataclass(frozen=True)
class Look:
    colour: str
    marker: str
    line: str
    name: str


LOOKS: dict[str, Look] = {
    "single": Look(MUTED, "o", ":", "one network"),
    "wide": Look(RED, "s", "-", "wide"),
    "wide-sub": Look(ORANGE, "s", "--", "wide-sub"),
    "cat": Look(BLUE, "D", "-", "cat"),
    "cat-sub": Look(SKY, "D", "--", "cat-sub"),
    "distill": Look(GREEN, "^", "-", "distill"),
    "ensemble": Look(PINK, "v", "--", "ensemble"),
}
CYCLE = (BLUE, ORANGE, GREEN, RED, SKY, PINK, MUTED)


def check_matplotlib() -> None:
    """Raise `BadValue` where matplotlib is missing."""
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError as error:
        raise BadValue(
            "figures and the page need matplotlib: pip install 'motherlode[report]'; tables work without it"
        ) from error


STYLE: dict[str, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "motherlode", "text.parse_math": False, "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"], "font.size": 9.5,
    "text.color": INK, "axes.edgecolor": MUTED, "axes.labelcolor": MUTED, "xtick.color": MUTED, "ytick.color": MUTED,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8, "axes.axisbelow": True,
    "axes.grid": True, "axes.grid.axis": "y", "grid.color": FAINT, "grid.linewidth": 0.7, "legend.frameon": False,
    "xtick.major.size": 3, "ytick.major.size": 0, "lines.linewidth": 1.6, "lines.markersize": 5.5,
    "figure.facecolor": PAPER, "axes.facecolor": "none", "savefig.facecolor": PAPER,
    "axes.titlesize": 10.5, "axes.titlelocation": "left", "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
}  # fmt: skip

Draw = Callable[[Any], None]
"""Draws on matplotlib axes."""


def render(draw: Draw, size: tuple[float, float] = (WIDTH, HEIGHT)) -> tuple[str, bytes]:
    """A figure as SVG text and as PNG bytes at 200 dots an inch."""
    svg = _save(draw, size, "svg")
    return svg.decode(), _save(draw, size, "png")


def render_svg(draw: Draw, size: tuple[float, float] = (WIDTH, HEIGHT)) -> str:
    return _save(draw, size, "svg").decode()


def _save(draw: Draw, size: tuple[float, float], kind: str) -> bytes:
    import logging
    import warnings

    from matplotlib import rc_context
    from matplotlib.figure import Figure

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # the first font found is good enough
    out = BytesIO()
    with rc_context(cast(Any, STYLE)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # SVG text is set in the reader's own fonts
        figure = Figure(figsize=size)
        draw(figure.add_subplot())
        figure.savefig(out, format=kind, dpi=200, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return out.getvalue()


def inline(svg: str, name: str, label: str) -> str:
    """An SVG to stand in a page: its colours are the theme's variables, its ids its own, without style or XML head.

    `label` is what a screen reader says.
    """
    from html import escape

    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", body)
    for colour, role in ROLES.items():
        body = re.sub(rf"{colour}\b", f"var(--{role})", body, flags=re.IGNORECASE)
    return re.sub(
        r"<svg ([^>]*?)width=\"[^\"]*\"([^>]*?)height=\"[^\"]*\"|<svg ",
        lambda found: f'<svg role="img" aria-label="{escape(label)}" {found[1] or ""}{found[2] or ""}',
        body,
        count=1,
    )
