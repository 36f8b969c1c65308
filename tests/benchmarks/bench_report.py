"""The report over many records, against reading the same files by json alone.

python tests/benchmarks/bench_report.py [--records 10000] [--repeats 3]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from store.records import Record, write_record
from store.root import open_root
from store.tables import text_table

SETS, CLASSES, GRID = 5000, 100, 7


def fill(folder: Path, count: int) -> None:
    """Records as `probe` writes them: 100 classes, a grid of 7, up to 8 of many networks, 10 datasets, no two alike."""
    root, versions = open_root(folder), {"python": "3.11", "torch": "2.14", "numpy": "2.4", "zarr": "3.1"}
    for k in range(count):
        names = [f"net{(k * 7 + i) % SETS}" for i in range(1 + k % 8)]
        features, dataset, top1 = ",".join(names), f"set{10 * k // count}", 0.3 + (k * 37 % 1000) / 2500
        used = [
            {"dataset": dataset, "split": split, "backbone": name, "fingerprint": f"{hash((name, split)):064x}"[-64:]}
            for split in ("train", "val", "test")
            for name in names
        ]
        metrics = {
            "features": features, "dim": 512 * len(names), "num_parameters": 51300, "solver": "lbfgs", "top1": top1,
            "top1_interval": [top1 - 0.01, top1 + 0.01], "top5": 0.9, "nll": 1.0, "num_samples": 10000,
            "val_top1": top1, "optimism_gap": 0.001, "weight_decay": 0.01,
            "backbone_parameters": 11_000_000 * len(names), "per_class": {f"class {c}": top1 for c in range(CLASSES)},
            "grid": [{"weight_decay": 10.0**-g, "val_top1": top1 - g / 100, "test_top1": top1} for g in range(GRID)],
        }  # fmt: skip
        config = {"features": features, "dataset": dataset, "target": "label", "solver": "lbfgs", "select": "val"}
        created = f"20260101T{k // 3600 % 24:02}{k // 60 % 60:02}{k % 60:02}Z"
        targets = {f"{role}:label": "ab" * 32 for role in ("train", "val", "test")}
        write_record(root, Record(
            kind="probe", config=config, features=used, targets=targets, metrics=metrics, versions=versions,
            seconds={"open": 0.1, "train": 2.0}, created=created, id=f"{k:08x}",
        ))  # fmt: skip


def by_json(folder: Path) -> None:
    for path in sorted((folder / "records" / "probe").iterdir()):
        json.loads(path.read_bytes())


def command(folder: Path, *flags: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "probe.report", "--store", str(folder), *flags], check=True, capture_output=True
    )


def median(run: Callable[[], None], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, options.records)
        page = folder / "report.html"
        by_json(folder)
        peer = median(lambda: by_json(folder), options.repeats)
        rows = []
        for what, flags in (
            ("table", ()),
            (
                "CSV of every result",
                ("--by", "features,dataset", "--columns", "accuracy,nll,dim", "--format", "csv"),
            ),
            ("page", ("--html", str(page))),
        ):
            seconds = median(lambda flags=flags: command(folder, *flags), options.repeats)
            rows.append([what, f"{seconds:.2f} s", f"{peer:.2f} s", f"{seconds / peer:.2f}", "< 5 s"])
        size = sum(path.stat().st_size for path in (folder / "records" / "probe").iterdir())
        told = f"{size / 1e6:.0f} MB; medians of {options.repeats}; the page has {page.stat().st_size / 1e6:.1f} MB"
        print(f"{options.records} records, {told}\n")
        print(text_table(["whole command", "ours", "json.loads of every file", "ratio", "target"], rows))


if __name__ == "__main__":
    main()
