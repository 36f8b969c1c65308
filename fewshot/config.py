"""What a few-shot evaluation is asked to do. Imports nothing heavy, so that --help answers at once."""

from dataclasses import dataclass, field

from store.errors import BadValue
from store.flags import check_number

MOST = 1_000_000_000
"""The largest count that a flag takes: episodes, shots, neighbours."""
MOST_ROWS = 2_000_000_000
"""Images that episodes may draw, all together: 8 bytes each are held."""
READ = {"neighbours": ("knn",), "weight_decay": ("logistic", "ridge")}
"""Options of classifiers -> those that read them. To the others they would say nothing."""
TRANSFORMS = ("none", "l2n", "cl2n")


@dataclass(frozen=True)
class Span:
    """A whole number, or a range from which each episode draws its own. 0-0: all there are."""

    low: int
    high: int

    def __str__(self) -> str:
        if self.high == 0:
            return "all"
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"

    @staticmethod
    def parse(what: str, text: str, least: int = 1) -> "Span":
        """`5` or `5-20`. Raises `BadValue`: no such numbers."""
        low, dash, high = text.strip().partition("-")
        if max(len(low), len(high)) > len(str(MOST)):
            raise BadValue(f"{what} {text[:20]!r}...: the most is {MOST}")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise BadValue(f"{what} {text!r}: give a number as 5, or a range as 5-20")
        span = Span(int(low), int(high) if dash else int(low))
        if not least <= span.low <= span.high:
            raise BadValue(f"{what} {text!r}: the numbers must be at least {least}, the smaller one first")
        return span


ALL = Span(0, 0)


@dataclass(frozen=True)
class Crossing:
    """Support images from one group, query images from another."""

    column: str
    support: str
    query: str

    @staticmethod
    def parse(text: str) -> "Crossing":
        """`style=google:twitter`. Raises `BadValue`."""
        column, equals, groups = text.partition("=")
        support, colon, query = groups.partition(":")
        if not (column and equals and support and colon and query) or support == query:
            raise BadValue(f"--group {text!r}: give a column and two of its groups, as style=google:twitter")
        return Crossing(column, support, query)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What classifiers may be told."""

    seed: int = 0
    """Of episodes, initial weights and batch orders."""
    neighbours: int = 1
    """k of knn."""
    weight_decay: float | None = None
    """Of logistic and ridge, on the mean loss; None: 1 / n."""

    def __post_init__(self) -> None:
        check_number("--seed", self.seed, 0, 2**63 - 1)
        check_number("--neighbours", self.neighbours, 1, MOST)
        if self.weight_decay is not None:
            check_number("--weight-decay", self.weight_decay, 1e-30, 1e30)


@dataclass(frozen=True, kw_only=True)
class FewshotConfig:
    features: tuple[str, ...]
    """Concatenations, `a,b,c` each; all see the same episodes."""
    dataset: str = "openmoji"
    splits: tuple[str, ...] = ()
    """Pooled by rows; empty: `novel` where the dataset has it, else train, val and test."""
    target: str | None = None
    """Column with the classes; None: `subcategory` where the dataset has it, else `label`."""
    classes: tuple[str, ...] = ()
    """Only these classes; empty: all."""
    store: str | None = None
    ways: Span = Span(5, 5)
    shots: tuple[Span, ...] = (Span(1, 1), Span(5, 5))
    queries: int = 15
    """Query images of each class."""
    episodes: int = 600
    repeats: int = 1
    """How often `episodes` are drawn; the standard deviation over them is reported."""
    crossing: Crossing | None = None
    apart: str | None = None
    """Column: no query image shares its value with a support image, as the same object seen twice would; None: `unit`
    where the dataset has it; `none`: no column.
    """
    allow_duplicates: bool = False
    """Whether to go on where an image stands in the pool more than once, instead of refusing; the record says so."""
    classifiers: tuple[str, ...] = ("nearest",)
    transform: str = "none"
    """none, l2n (length 1), cl2n (minus the mean of `centre`, then length 1)."""
    centre: str | None = None
    """Split whose mean cl2n subtracts; None: `base` or `train`, if it is not evaluated."""
    ensemble: bool = False
    """Beside each concatenation, the mean of its backbones' class probabilities."""
    compare: tuple[str, str] | None = None
    """Two of `features` or two of `classifiers`: report the paired difference."""
    settings: Settings = field(default_factory=Settings)
    read_episodes: str | None = None
    write_episodes: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for flag in ("queries", "episodes", "repeats"):
            check_number(f"--{flag}", getattr(self, flag), 1, MOST)
        if not self.shots:
            raise BadValue("--shots names no number: give one or more, as --shots 1,5")
        if not self.classifiers:
            raise BadValue("--classifier names none: `python -m fewshot --list` shows all")
        for shots in self.shots:
            rows = self.episodes * self.repeats * max(2, self.ways.high) * (shots.high + self.queries)
            if rows > MOST_ROWS:
                raise BadValue(
                    f"--episodes {self.episodes} --repeats {self.repeats} --ways {self.ways} --shots {shots} --queries "
                    f"{self.queries} would draw {rows:.3g} images, the most is {MOST_ROWS:.3g}: ask for fewer episodes"
                )
        if self.ways != ALL and self.ways.low < 2:
            raise BadValue(f"--ways {self.ways}: an episode needs at least 2 classes")
        if self.transform not in TRANSFORMS:
            raise BadValue(f"--transform {self.transform!r}: one of {', '.join(TRANSFORMS)}")
        if self.centre and self.transform != "cl2n":
            raise BadValue(f"--centre {self.centre} belongs to --transform cl2n")
        self._check_readers()
        self._check_file()
        if self.compare and self.compare[0] == self.compare[1]:
            raise BadValue(f"--compare {' '.join(self.compare)}: both are the same, and differ by nothing: name two")

    def _check_readers(self) -> None:
        """Raise `BadValue`: an option that none of the classifiers reads."""
        for name, readers in READ.items():
            if getattr(self.settings, name) != getattr(Settings, name) and not set(readers) & set(self.classifiers):
                raise BadValue(
                    f"--{name.replace('_', '-')} is for --classifier {' and '.join(readers)}: to "
                    f"{', '.join(self.classifiers)} it says nothing, leave it out"
                )

    def _check_file(self) -> None:
        """Raise `BadValue`: what a file of episodes has decided already."""
        if not self.read_episodes:
            return
        if self.write_episodes:
            raise BadValue(
                "--read-episodes and --write-episodes: nothing is drawn that could be written; copy the file"
            )
        drawn = {"ways": "ways", "shots": "shots", "queries": "queries", "episodes": "episodes", "repeats": "repeats",
                 "classes": "classes", "crossing": "group"}  # fmt: skip
        asked = [flag for name, flag in drawn.items() if getattr(self, name) != getattr(FewshotConfig, name)]
        if asked:
            raise BadValue(f"--{asked[0]}: the episodes of --read-episodes have their own; leave one of the two out")
