"""What `python -m probe.search` is asked for."""

from dataclasses import dataclass

from probe.check import check_selection, check_val
from probe.limits import check_choices, check_numbers
from probe.solvers import SOLVERS
from store.errors import BadValue, UnknownName


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    features: str
    dataset: str = "openmoji"
    target: str = "label"
    store: str | None = None
    """Path or s3://; None: $FEATURE_STORE or data/features."""
    train: str = "train"
    val: str | None = None
    """None: `val` where the dataset has it; `none`: a part of train."""
    test: str = "test"
    budget: int | None = None
    """Most candidates in a concatenation; None: all."""
    limit: int = 4095
    """Most subsets that are all tried: 12 candidates; beyond it the search is greedy."""
    orders: int = 16
    """Random orders of a greedy search, for contributions."""
    weight_decay: tuple[float, ...] = SOLVERS["ridge"].weight_decay
    select: str = "val"
    """val or kfold."""
    folds: int = 5
    allow_duplicates: bool = False
    """Whether to go on where images stand in two of train, val and test, instead of refusing."""
    seed: int = 0
    confirm: int = 5
    """How many of the best subsets are probed by `solver`."""
    solver: str = "lbfgs"
    device: str = "auto"
    memory: int | None = None

    def __post_init__(self) -> None:
        """Raise `UserError` for what no search could use."""
        if self.solver not in SOLVERS:
            raise UnknownName("solver", self.solver, SOLVERS, "`python -m probe --list` shows all")
        if SOLVERS[self.solver].groups:
            raise BadValue(f"--solver {self.solver} is for group objectives, which a search has none of: take lbfgs")
        check_numbers(self)
        check_choices(self, {"select": ("val", "kfold")})
        check_selection(self.select, self.folds, SearchConfig.folds)
        if self.test == self.train:
            raise BadValue(f"--test {self.test} is the split that heads are trained on: name one that is not")
        check_val(self.val, self.test)
