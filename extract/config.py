"""The flags of `python -m extract`, checked; defaults live here."""

from dataclasses import dataclass, field

from extract.datasets import default_data_root
from extract.forward.taps import split_name
from store.errors import BadValue
from store.flags import check_number
from store.root import default_root
from store.runtime import default_workers

DEFAULT_DATASET = "openmoji"
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


MOST_VIEWS = 10_000
"""The most that --views takes; the paper's protocols train on 9."""


MOST = 1_000_000
"""The most images of a batch, decoding threads or views that a flag takes."""


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    backbone: tuple[str, ...]
    dataset: tuple[str, ...] = (DEFAULT_DATASET,)
    split: tuple[str, ...] = ()
    """Empty: every split that the dataset has."""
    data_root: str = field(default_factory=default_data_root)
    """Below it lies each dataset that no package carries."""
    views: int = 1
    """Views 0 to views - 1 are extracted; 0 is the evaluation crop, the others are random crops."""
    seed: int = 0
    """Of the random crops."""
    store: str = field(default_factory=default_root)
    weights: str | None = None
    """A file for the one backbone that is named, instead of the cache."""
    weights_root: str | None = None
    backbones: str | None = None
    """Where what was trained here lies; None: $BACKBONES, or data/backbones."""
    device: str = "auto"
    precision: str = "auto"
    """auto, fp32, bf16 or fp16: extract/forward/precision.py."""
    compile: str = "auto"
    """auto, on or off: extract/forward/compiling.py."""
    dtype: str = "float16"
    """What is stored."""
    backend: str = "zarr"
    """zarr or hdf5: store/backends.py."""
    batch_size: int | None = None
    """Images of one forward pass; the first run of a set decides, a later one follows it. None: network.py decides."""
    workers: int = field(default_factory=default_workers)
    """Decoding threads."""
    skip_bad: bool = False
    """Go on at an image that cannot be read: its row is masked in every concatenation."""
    block_rows: int | None = None
    """Not a flag: blocks of all sets of a split line up, store/writer.py:rows_of_block. Tests use small ones."""

    def places(self) -> dict[str, str]:
        """Where images and weights lie, by field, if not in the usual place: whoever runs this again needs it."""
        usual = {"data_root": default_data_root(), "weights": None, "weights_root": None, "backbones": None}
        return {name: str(getattr(self, name)) for name, value in usual.items() if getattr(self, name) != value}

    def __post_init__(self) -> None:
        if not self.backbone:
            raise BadValue("name at least one backbone: --backbone a,b (see `python -m extract --list`)")
        if not self.dataset:
            raise BadValue("name at least one dataset: --dataset NAME (see `python -m extract --list-datasets`)")
        bases = dict.fromkeys(split_name(name, self.backbones)[0] for name in self.backbone) if self.weights else {}
        if len(bases) > 1:
            raise BadValue(f"--weights is for one backbone, not {len(bases)}: {', '.join(bases)}")
        for name in ("batch_size", "workers", "views"):
            if (value := getattr(self, name)) is not None:
                check_number(f"--{name.replace('_', '-')}", value, 1, MOST)
        if self.views > MOST_VIEWS:
            raise BadValue(f"--views: at most {MOST_VIEWS}, each is a pass over all images")
        if self.precision not in PRECISIONS:
            raise BadValue(f"--precision is {self.precision!r}; {', '.join(PRECISIONS)}")
        if self.compile not in ("auto", "on", "off"):
            raise BadValue(f"--compile is {self.compile!r}; auto, on, off")
        if self.dtype not in ("float16", "float32"):
            raise BadValue(f"--dtype is {self.dtype!r}; float16 or float32")
