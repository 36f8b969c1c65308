"""What a few-shot evaluation is asked to do. Imports nothing heavy, so that --help answers at once."""

from dataclasses import dataclass

from store.errors import BadValue


@dataclass(frozen=True)
class Span:
    """A whole number, or a range from which each episode draws its own."""

    low: int
    high: int

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"

    @staticmethod
    def parse(what: str, text: str, least: int = 1) -> "Span":
        """`5` or `5-20`. Raises `BadValue`: no such numbers."""
        low, dash, high = text.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise BadValue(f"{what} {text!r}: give a number as 5, or a range as 5-20")
        span = Span(int(low), int(high) if dash else int(low))
        if not least <= span.low <= span.high:
            raise BadValue(f"{what} {text!r}: the numbers must be at least {least}, the smaller one first")
        return span


@dataclass(frozen=True, kw_only=True)
class FewshotConfig:
    features: tuple[str, ...]
    """Concatenations, `a,b,c` each; all see the same episodes."""
    dataset: str = "openmoji"
    splits: tuple[str, ...] = ()
    """Pooled by rows; empty: `novel` where the dataset has it, else train, val and test."""
    target: str | None = None
    """Column with the classes; None: `subcategory` where the dataset has it, else `label`."""
    store: str | None = None
    ways: Span = Span(5, 5)
    shots: tuple[Span, ...] = (Span(1, 1), Span(5, 5))
    queries: int = 15
    """Query images of each class."""
    episodes: int = 600
    classifiers: tuple[str, ...] = ("nearest",)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.queries < 1 or self.episodes < 1:
            raise BadValue(f"--queries {self.queries} and --episodes {self.episodes}: both must be at least 1")
        if self.ways.low < 2:
            raise BadValue(f"--ways {self.ways}: an episode needs at least 2 classes")
        if self.seed < 0:
            raise BadValue(f"--seed {self.seed}: must not be negative")
