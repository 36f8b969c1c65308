"""The numbers of Zhang and Bottou (ICML 2023), as data: what our own are set beside."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("paper_numbers.csv")
"""Columns: source, kind, experiment, dataset_or_column, model, value, err_or_std, digitization_tol."""


@dataclass(frozen=True, kw_only=True)
class PaperNumber:
    experiment: str
    column: str
    """Dataset, or column of the paper's table."""
    model: str
    value: float
    """Per cent."""
    spread: float | None
    """Standard deviation over the paper's repeats."""
    exact: bool
    """Printed in a table; else read off a figure, within `tolerance`."""
    tolerance: float | None
    source: str
    """File of the paper's repository it was taken from."""


@cache
def paper_numbers() -> dict[tuple[str, str, str], PaperNumber]:
    """(experiment, column, model) -> number."""
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (row["experiment"], row["dataset_or_column"], row["model"]): PaperNumber(
            experiment=row["experiment"],
            column=row["dataset_or_column"],
            model=row["model"],
            value=float(row["value"]),
            spread=float(row["err_or_std"]) if row["err_or_std"] else None,
            exact=row["kind"] == "exact",
            tolerance=float(row["digitization_tol"]) if row["digitization_tol"] else None,
            source=row["source"],
        )
        for row in rows
    }
