"""What `python -m probe` can be told. Data only."""

from dataclasses import dataclass

SELECT = ("val", "kfold", "paper", "oracle")


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    features: tuple[str, ...]
    """One row of the table each: a,b,c."""
    dataset: str = "openmoji"
    target: str = "label"
    group: str | None = None
    """A target column that names each sample's group: accuracy is also given per group and for the worst."""
    store: str | None = None
    """Path or s3://; None: $FEATURE_STORE or data/features."""
    train: str = "train"
    val: str = "val"
    test: str = "test"
    solver: str = "lbfgs"
    weight_decay: tuple[float, ...] | None = None
    """λ of mean loss + λ/2 |W|², bias unpenalised; None: the solver's own grid."""
    select: str = "val"
    folds: int = 5
    seed: int = 0
    device: str = "auto"
    memory: int | None = None
    """Bytes that features and solver may use together; None: load what fits in half of the free memory."""
