"""The tables that `python -m extract` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from extract.backbones import BACKBONES, FAMILIES
from extract.datasets import DATASETS, is_present
from extract.models.costs import COSTS
from extract.trained import trained_names
from store.tables import table_or_json, text_table

if TYPE_CHECKING:
    from extract.outcome import Made
    from extract.plan import Planned


def backbone_table(backbones: str | None = None, *, as_json: bool = False) -> str:
    """The rows of the table; as text also the families, and what was trained below `backbones`."""
    rows = [
        (
            name,
            row.arch,
            row.dim,
            round(COSTS[row.arch].params / 1e6, 1),
            round(COSTS[row.arch].gmacs, 1),
            row.recipe,
            row.note,
        )
        for name, row in BACKBONES.items()
    ]
    header = ("backbone", "architecture", "dim", "10^6 params", "GMACs", "recipe", "what")
    if as_json:
        return table_or_json(header, rows, as_json=True)
    inside = {
        "NAME:LAYER:POOLING": "a layer of any of these, pooled by mean, max or cls; NAME:LAYER and NAME:POOLING too"
    }
    more = "\n".join(f"{name}: {what}" for name, what in (FAMILIES | inside).items())
    trained = trained_names(backbones)
    here = f"\n\ntrained here: {', '.join(trained)}" if trained else ""
    return f"{text_table(header, rows)}\n\n{more}{here}"


def dataset_table(data_root: str, *, as_json: bool = False) -> str:
    rows = [
        (name, "yours" if not row.splits else "yes" if is_present(name, data_root) else "no",
         ",".join(row.splits) or "as found", row.num_classes or "as found", ",".join(row.columns), row.source)
        for name, row in DATASETS.items()
    ]  # fmt: skip
    header = ("dataset", "present", "splits", "classes", "targets", "images from")
    return table_or_json(header, rows, as_json=as_json)


def made_table(made: Sequence["Made"]) -> str:
    rows = [
        (m.dataset, m.split, m.backbone, m.view, m.fingerprint[:8], m.num_samples, m.dim, m.extracted, m.bad, m.state)
        for m in made
    ]
    header = ("dataset", "split", "backbone", "view", "fingerprint", "images", "dim", "extracted", "bad", "state")
    return text_table(header, rows)


def plan_table(planned: Sequence["Planned"]) -> str:
    rows = [
        (p.dataset, p.split, p.backbone, p.view, p.missing, p.num_samples, _size(p.bytes), f"{p.seconds:.0f}")
        for p in planned
    ]
    header = ("dataset", "split", "backbone", "view", "to do", "images", "size", "seconds")
    size, seconds = sum(p.bytes for p in planned), sum(p.seconds for p in planned)
    free = planned[0].free_bytes if planned else None
    room = "" if free is None else f", {_size(free)} are free"
    total = f"{_size(size)} to write{room}; about {seconds / 60:.1f} minutes here, decoding included, one process"
    return f"{text_table(header, rows)}\n{total}"


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
