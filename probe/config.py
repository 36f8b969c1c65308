"""What `python -m probe` can be told. Data only."""

from dataclasses import dataclass

BATCH_NORMS = ("affine", "plain", "none")
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
    lr: tuple[float, ...] = ()
    """Of sgd and cosine; (): the solver's own."""
    seeds: tuple[int, ...] = (0,)
    """Starts of sgd and cosine: grid members like the others."""
    epochs: int = 28
    batch: int = 256
    batch_norm: str = "affine"
    """Of sgd: affine, plain (no scale and shift), none."""
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
    select: str = "val"
    folds: int = 5
    seed: int = 0
    device: str = "auto"
    memory: int | None = None
    """Bytes that features and solver may use together; None: load what fits in half of the free memory."""
