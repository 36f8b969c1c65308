"""What a run leaves in the store: the head, per-sample predictions, and the record that names both."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from probe.config import ProbeConfig
from probe.features import Block
from probe.heads import CosineHead, LinearHead
from probe.metrics import Predictions
from probe.select import Choice
from probe.splits import Split
from store.errors import BadValue
from store.head_networks import networks_of
from store.heads import StoredHead, save_head
from store.records import Record, write_record
from store.root import Root


def keep_record(
    root: Root, config: ProbeConfig, splits: dict[str, Split], row: dict[str, Any], head: str | None
) -> Record:
    """Write the record of a row."""
    return write_record(
        root,
        Record(
            kind="probe",
            config={**asdict(config), "features": row["features"]},
            features=used_features(splits),
            targets={f"{role}:{split.target.column}": split.target.hash for role, split in splits.items()},
            metrics={**{key: value for key, value in row.items() if key != "seconds"}, "head": head},
            seconds=row["seconds"],
        ),
    )


def used_features(splits: dict[str, Split]) -> list[dict[str, str]]:
    """Every feature set of the splits, for a record."""
    return [
        {"dataset": m.dataset, "split": m.split, "backbone": m.backbone, "fingerprint": m.fingerprint}
        for split in splits.values()
        for m in (part.manifest for part in split.x.parts)
    ]


def keep_head(
    root: Root, config: ProbeConfig, blocks: list[Block], classes: tuple[str, ...], choice: Choice,
    splits: Mapping[str, Split],
) -> str | None:  # fmt: skip
    """Store a linear or cosine head; returns its id, or None for one that is no matrix (knn, averages).

    Args:
        splits: by role; all but `test` count as what the head was trained or chosen on.
    """
    prepare, head = choice.data.prepare, choice.fit.head
    if isinstance(head, LinearHead):
        weight, bias, left = prepare.fold(head.weight, head.bias)
    elif isinstance(head, CosineHead):
        weight, bias, left = head.scale * head.weight, head.weight.new_zeros(len(head.weight)), prepare
    else:
        return None
    steps, arrays = left.state()
    sets = [part.manifest for part in splits["train"].x.parts]
    used = [split.x.parts[0].manifest for role, split in splits.items() if role != "test"]
    info = {
        "dataset": config.dataset,
        "target": config.target,
        "classes": list(classes),
        "features": [str(block) for block in blocks],
        "networks": networks_of(sets),
        "stored_dataset": sets[0].dataset,
        "trained_on": sorted({(m.dataset, m.split) for m in used}),
        "widths": [high - low for low, high in prepare.columns],
        "steps": steps,
        "normalise": isinstance(head, CosineHead),
        "solver": config.solver,
        "weight_decay": choice.fit.weight_decay,
    }
    return save_head(root, StoredHead(weight=weight.cpu().numpy(), bias=bias.cpu().numpy(), arrays=arrays, info=info))


def keep_predictions(root: Root, name: str, split: Split, classes: tuple[str, ...], found: Predictions) -> str:
    """Write predictions/<name>.parquet, a row per sample; returns its key. Raises `BadValue`: pyarrow is missing."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise BadValue("--predictions needs pyarrow: pip install 'motherlode[report]'") from error
    ids = split.x.samples.ids
    names, first_N = pa.array(list(classes)), found.top_NK[:, 0]
    table = pa.table(
        {
            "sample": [ids[int(row)] for row in split.rows] if len(split.rows) < len(ids) else list(ids),
            "class": pa.DictionaryArray.from_arrays(pa.array(found.y_N, pa.int32()), names),
            "predicted": pa.DictionaryArray.from_arrays(pa.array(first_N, pa.int32(), mask=first_N < 0), names),
            "top": pa.array([top[top >= 0].tolist() for top in found.top_NK], pa.list_(pa.int32())),
            "confidence": pa.array(found.confidence_N),
            "log_likelihood": pa.array(found.log_likelihood_N),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    key = f"predictions/{name}.parquet"
    root.put(key, buffer.getvalue())
    return key


def cost(parts: Iterable[Any]) -> dict[str, float]:
    """Parameters and FLOPs per image of the backbones together, where every manifest tells."""
    told = [part.manifest.provenance for part in parts]
    names = {"parameters": "backbone_parameters", "flops_per_image": "backbone_flops_per_image"}
    return {new: sum(one[old] for one in told) for old, new in names.items() if all(old in one for one in told)}
