"""How the store beside this file was made, once: `python tests/data/format1/make.py`. Never make it again.

tests/store/test_format.py opens it with every later version. A new format gets a folder and a script of its own.
"""

from pathlib import Path

import numpy as np

from store.fingerprint import Fingerprint
from store.keys import FeatureKey
from store.records import Record, write_record
from store.root import open_root
from store.samples import Samples, Targets
from store.writer import FeatureWriter, content_hash

ROWS, DIM, BLOCK_ROWS = 10, 3, 4
IDS = ["a/0.png", "a/1.png", "ä/2 b.png", "", "4", "5", "6", "7.jpg", "8.jpg", "☃.jpg"]
PARTS = {"weights": "3f" * 32, "architecture": "made", "layer": "features", "pooling": "avg", "precision": "fp32"}
RECIPE = {"crop": 224, "decoder": "made", "mean": [0.485, 0.456, 0.406], "view": 0}
SETS = {"small": ("zarr", "float16", {7: "truncated"}), "torchvision:other": ("hdf5", "float32", {})}


def features(dtype: str) -> np.ndarray:
    """(10, 3): numbers that float16 holds."""
    return (np.arange(ROWS * DIM).reshape(ROWS, DIM) / 8 - 2).astype(dtype)


def samples() -> Samples:
    label = Targets("label", ("cat", "dög", "eel"), np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, -1]))
    hospital = Targets("hospital", ("north", "south"), np.arange(ROWS) % 2)
    return Samples("toy", "train", IDS, np.arange(ROWS) * 100, {"label": label, "hospital": hospital})


def writer(root, backbone: str, backend: str, dtype: str) -> FeatureWriter:
    listed = samples()
    made = Fingerprint(**PARTS, recipe=RECIPE, dtype=dtype, samples=listed.id)
    return FeatureWriter(
        root, FeatureKey("toy", "train", backbone), made, listed, DIM,
        choices={"batch_size": 2}, block_rows=BLOCK_ROWS, backend=backend,
    )  # fmt: skip


def fill(unfinished: FeatureWriter, blocks: list[int], bad: dict[int, str]) -> None:
    x_ND = features(unfinished.fingerprint.dtype)
    hashes = np.frombuffer(b"".join(content_hash(name.encode()) for name in IDS), np.uint8).reshape(ROWS, 16)
    for block in blocks:
        rows = unfinished.rows(block)
        here = {row: why for row, why in bad.items() if row in rows}
        unfinished.write(block, x_ND[rows.start : rows.stop], hashes[rows.start : rows.stop], here)


def main() -> None:
    root = open_root(Path(__file__).parent / "features")
    for backbone, (backend, dtype, bad) in SETS.items():
        made = writer(root, backbone, backend, dtype)
        fill(made, made.missing(), bad)
        made.commit({"created": "2026-11-23T21:00:00+00:00"}, {"cosine": 1.0})
    fill(writer(root, "half", "zarr", "float16"), [0, 2], {})
    write_record(root, Record(
        kind="probe", config={"features": "small"}, features=[{"backbone": "small"}], targets={"train:label": "0"},
        metrics={"top1": 0.5}, seconds={"fit": 1.0}, versions={"motherlode": "0.1.0"},
        created="20261123T210000Z", id="00000000",
    ))  # fmt: skip


if __name__ == "__main__":
    main()
