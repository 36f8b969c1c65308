"""Camelyon17 of WILDS v1.0: 96x96 patches of lymph nodes from five hospitals, with a tumour in the middle or not.

train and id_val are hospitals 0, 3 and 4, val is hospital 1, test hospital 2: wilds/datasets/camelyon17_dataset.py.
"""

from pathlib import Path

import numpy as np

from extract.datasets.common import Images, file_images, need
from extract.datasets.csv_text import read_bytes, read_table
from store.errors import BadValue
from store.samples import Targets

FOLDER = "camelyon17_v1.0"
HOW = (
    "Get camelyon17_v1.0 (10 GB) with the wilds package, wilds.get_dataset('camelyon17', download=True), or unpack "
    "https://worksheets.codalab.org/rest/bundles/0xe45e15f39fb54e9d9e919556af67aabe/contents/blob/ there (CC0), or say "
    "where it is: --data-root DIR"
)
VAL_HOSPITAL, TEST_HOSPITAL = 1, 2
DIGITS = 10
"""No number there has as many."""
COLUMNS = ("patient", "node", "x_coord", "y_coord", "tumor", "slide", "center", "split")


def open_split(dataset: str, split: str, path: Path) -> Images:
    top = path / FOLDER if (path / FOLDER).is_dir() else path
    rows = _rows(need(dataset, top / "metadata.csv", HOW))
    chosen = [row for row in rows if _split(row) == split]
    ids = [
        "patches/patient_{patient}_node_{node}/patch_patient_{patient}_node_{node}_x_{x_coord}_y_{y_coord}.png".format(
            **row
        )
        for row in chosen
    ]
    hospitals, slides = (_numbers(rows, column) for column in ("center", "slide"))
    targets = [
        Targets("label", ("normal", "tumor"), np.array([int(row["tumor"]) for row in chosen])),
        Targets.from_names("hospital", [row["center"] for row in chosen], hospitals),
        Targets.from_names("slide", [row["slide"] for row in chosen], slides),
    ]
    return file_images(dataset, split, top, ids, targets)


def _split(row: dict[str, str]) -> str:
    hospital = int(row["center"])
    if hospital == VAL_HOSPITAL:
        return "val"
    if hospital == TEST_HOSPITAL:
        return "test"
    return "id_val" if int(row["split"]) == 1 else "train"


def _numbers(rows: list[dict[str, str]], column: str) -> list[str]:
    return sorted({row[column] for row in rows}, key=int)


def _rows(file: Path) -> list[dict[str, str]]:
    """metadata.csv; raises `BadValue` where it is not that of WILDS."""
    table = read_table(file, read_bytes(file), tell=False)
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise BadValue(f"{file}: no column {missing[0]!r}; this is not the metadata.csv of WILDS' camelyon17_v1.0")
    columns = {name: table.columns[name] for name in COLUMNS}
    for name, cells in columns.items():
        if not (all(map(str.isdecimal, cells)) and max(map(len, cells), default=0) < DIGITS):
            fine = (cell.isdecimal() and len(cell) < DIGITS for cell in cells)
            line = next(line for line, well in zip(table.lines, fine, strict=True) if not well)
            raise BadValue(f"{file}, line {line}: every cell must be a whole number, {name} is not")
    if odd := {*columns["tumor"]} - {"0", "1"}:
        line = table.lines[columns["tumor"].index(odd.pop())]
        raise BadValue(f"{file}, line {line}: tumor must be 0 or 1")
    return [dict(zip(COLUMNS, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
