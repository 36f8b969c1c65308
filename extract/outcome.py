"""What an extraction did: the rows that the command prints, and the record."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from extract.config import ExtractConfig
from extract.pipeline import Lane, Seconds
from store.records import Record, write_record
from store.root import Root
from store.writer import FeatureWriter


@dataclass
class Made:
    """What became of one feature set; a row of the table that the command prints."""

    dataset: str
    split: str
    backbone: str
    view: int
    fingerprint: str
    num_samples: int
    dim: int
    extracted: int
    """Images that went through the network in this run."""
    reused: int
    """Images whose features were copied: the same bytes went through the same network before."""
    bad: int
    state: str
    """extracted, complete (nothing was to do) or unfinished (other ranks are at the rest)."""


def made_row(writer: FeatureWriter, view: int, lane: Lane | None, bad: int, state: str) -> Made:
    return Made(
        dataset=writer.key.dataset,
        split=writer.key.split,
        backbone=writer.key.backbone,
        view=view,
        fingerprint=writer.fingerprint.hex,
        num_samples=len(writer.samples),
        dim=writer.dim,
        extracted=lane.extracted if lane else 0,
        reused=lane.reused if lane else 0,
        bad=bad,
        state=state,
    )


def record(root: Root, config: ExtractConfig, made: Sequence[Made], seconds: Seconds, total: float) -> None:
    passes: dict[tuple[str, str], int] = {}  # the sets of a split are fed from one decode
    for row in made:
        where = (row.dataset, row.split)
        passes[where] = max(passes.get(where, 0), row.extracted + row.reused)
    images = sum(passes.values())
    features = [{name: getattr(m, name) for name in ("dataset", "split", "backbone", "fingerprint")} for m in made]
    metrics = {
        "images": images,
        "images_per_second": images / total,
        "bad_rows": sum(row.bad for row in made),
        "bottleneck": seconds.bottleneck(),
    }
    stages = {**asdict(seconds), "total": total}
    write_record(
        root, Record(kind="extract", config=asdict(config), features=features, metrics=metrics, seconds=stages)
    )
