"""What `python -m probe` can be told. Data only."""

from dataclasses import dataclass

from probe.check import SELECT, TUNINGS, check
from probe.limits import check_choices, check_numbers
from probe.solvers import SOLVERS, TOLERANCE
from store.errors import UnknownName

BATCH_NORMS = ("affine", "plain", "none")
PRECISIONS = ("auto", "float32", "bfloat16")
SHARDS = ("rows", "classes")
CHOICES = {"batch_norm": BATCH_NORMS, "precision": PRECISIONS, "shard": SHARDS, "select": (*SELECT, *TUNINGS)}
"""Field -> what it may be."""
PENALTIES = (0.0, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0)
"""Of vREx on frozen features: TjuJianyu/RFC scripts/camelyon17/camelyon17_erm_vrexlinear.sh."""


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    features: tuple[str, ...]
    """One row of the table each: a,b,c."""
    dataset: str = "openmoji"
    target: str = "label"
    group: str | None = None
    """A target column that names each sample's group: accuracy is also given per group and for the worst. With an
    objective also COLUMN=TRAIN:TUNE:TEST, which groups have which part: probe/ood/groups.py.
    """
    objective: tuple[str, ...] = ()
    """erm, vrex, groupdro: over the risks of the groups; (): plain probing."""
    penalty: tuple[float, ...] = PENALTIES
    """Grid of vrex."""
    anneal: tuple[int, ...] = (0,)
    """Grid of vrex: steps before the penalty counts."""
    store: str | None = None
    """Path or s3://; None: $FEATURE_STORE or data/features."""
    train: str = "train"
    val: str | None = None
    """None: `val` where the dataset has it; `none`: a part of train."""
    id_val: str = "id_val"
    """With an objective: the split of the training groups to tune on; `val` is that of other groups."""
    test: str = "test"
    test_dataset: str | None = None
    """Another dataset whose `test` split scores the heads, on the classes that it has: imagenet-a for imagenet."""
    solver: str = "lbfgs"
    weight_decay: tuple[float, ...] | None = None
    """λ of mean loss + λ/2 |W|², bias unpenalised; None: the solver's own grid."""
    lr: tuple[float, ...] = ()
    """Of sgd and cosine; (): the solver's own."""
    seeds: tuple[int, ...] = ()
    """Starts of sgd and cosine: grid members like the others; of an objective: its runs. (): the solver's own."""
    epochs: int | None = None
    batch: int | None = None
    """None: the solver's own."""
    batch_norm: str = "affine"
    """Of sgd: affine, plain (no scale and shift), none."""
    decay_batch_norm: bool = False
    """Of sgd: weight decay also on BatchNorm's scale and shift, which the paper's scripts leave out of it."""
    views: int = 1
    """sgd and cosine show view e % views of the training images in epoch e."""
    average: tuple[str, ...] = ()
    """Ids of stored heads, one a block: sgd starts from their average."""
    k: tuple[int, ...] = (10, 20, 100)
    temperature: float = 0.07
    """Of knn's votes."""
    sub: bool = False
    """Also average separate heads of the single blocks, by logits and by probabilities: cat^sub."""
    predictions: bool = False
    """Keep per-sample predictions as predictions/<record id>.parquet in the store."""
    wilds: str | None = None
    """A folder for predictions under the names that WILDS' evaluator reads."""
    shard: str = "rows"
    """What ranks of torchrun share; classes: of lbfgs and sgd, where heads and their state are too large for one."""
    tolerance: float = TOLERANCE
    """Of lbfgs: it stops where it expects the objective to fall by no more than this part of itself."""
    precision: str = "auto"
    """Of products in lbfgs and sgd. auto: lbfgs takes bfloat16 where it is faster, and ends in float32 (not where
    `memory` is given: it keeps logits); sgd is float32.
    """
    select: str = "val"
    folds: int = 5
    allow_duplicates: bool = False
    """Whether to go on where images stand in two of train, val and test, instead of refusing; the record says so."""
    seed: int = 0
    device: str = "auto"
    memory: int | None = None
    """Bytes that features and solver may use together; None: load what fits in half of the free memory."""

    def __post_init__(self) -> None:
        """Raise `UserError` for what no run could use: a number, a name that there is not, options that contradict."""
        if self.solver not in SOLVERS:
            raise UnknownName("solver", self.solver, SOLVERS, "`python -m probe --list` shows all")
        check_numbers(self)
        check_choices(self, CHOICES)
        check(self)
