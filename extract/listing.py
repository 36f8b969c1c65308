"""The tables that `python -m extract` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from extract.backbones import BACKBONES, FAMILIES
from extract.datasets import DATASETS, find_dataset, is_present
from extract.models.costs import COSTS
from extract.trained import trained_names
from store.runtime import rank, size
from store.tables import bytes_text, table_or_json, text_table

if TYPE_CHECKING:
    from extract.outcome import Made
    from extract.plan import Planned
    from extract.stock import Relabelled


def backbone_table(backbones: str | None = None, *, as_json: bool = False) -> str:
    """The rows of the table; as text also the families, and what was trained below `backbones`."""
    rows = [
        (
            name,
            row.arch,
            row.dim,
            round(cost.params / 1e6, 1) if (cost := COSTS.get(row.arch)) else None,
            round(cost.gmacs, 1) if cost else None,
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
    table = text_table(header, [["" if cell is None else cell for cell in row] for row in rows])
    return f"{table}\n\n{more}{here}"


def dataset_rows(data_root: str) -> list[dict[str, Any]]:
    """The table of datasets, and of each whether it is here and where it is looked for."""
    return [
        {
            "dataset": name,
            "present": "yours" if not row.splits else "yes" if is_present(name, data_root) else "no",
            "place": str(find_dataset(name, data_root)[1]) if row.folder else "",
            "splits": row.splits,
            "parts": row.parts,
            "classes": row.num_classes,
            "targets": row.columns,
            "images": sum(row.sizes.values()) or None,
            "source": row.source,
            "credit": row.credit,
        }
        for name, row in DATASETS.items()
    ]


def dataset_table(data_root: str) -> str:
    """`dataset_rows` as text: a table, then for each where its images come from, its further splits, and its credit."""
    rows = dataset_rows(data_root)
    shown = ("dataset", "present", "splits", "classes", "targets", "images", "place")
    table = text_table(shown, [[_cell(row[name]) for name in shown] for row in rows])
    more = [
        f"{row['dataset']}: {row['source']}"
        + (f"\n  {row['credit']}" if row["present"] != "yours" else "")
        + (f"\n  further splits, to be named: {_cell(row['parts'])}" if row["parts"] else "")
        for row in rows
    ]
    return "\n".join([table, "", *more])


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value) or "as found"
    return "as found" if value is None else str(value)


def made_table(made: Sequence["Made"]) -> str:
    header = ("dataset", "split", "backbone", "view", "fingerprint", "images", "dim", "extracted", "reused", "bad")
    rows = [
        (m.dataset, m.split, m.backbone, m.view, m.fingerprint[:8], m.num_samples, m.dim, m.extracted, m.reused, m.bad)
        for m in made
    ]
    lines = [f"process {rank()} of {size()}:"] if size() > 1 else []
    lines.append(text_table((*header, "state"), [(*row, m.state) for row, m in zip(rows, made, strict=True)]))
    if any(m.state == "unfinished" for m in made):
        lines.append("unfinished: other processes are at the rest, or were lost: then run the same command again")
    return "\n".join(lines)


def relabelled_table(rows: Sequence["Relabelled"]) -> str:
    return text_table(
        ("dataset", "split", "images", "state"), [(row.dataset, row.split, row.num_samples, row.state) for row in rows]
    )


def plan_table(planned: Sequence["Planned"]) -> str:
    header = ("dataset", "split", "backbone", "view", "to do", "copy", "images", "size", "seconds")
    rows = [
        (
            p.dataset,
            p.split,
            p.backbone,
            p.view,
            p.missing,
            p.known,
            p.num_samples,
            bytes_text(p.bytes),
            round(p.seconds),
        )
        for p in planned
    ]
    size, seconds = sum(p.bytes for p in planned), sum(p.seconds for p in planned)
    free = planned[0].free_bytes if planned else None
    room = "" if free is None else f", {bytes_text(free)} are free"
    total = f"{bytes_text(size)} to write{room}; about {seconds / 60:.1f} minutes here, decoding included, one process"
    return f"{text_table(header, rows)}\n{total}"
