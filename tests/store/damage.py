"""A small store, every way to damage one of its files, and what the commands say to it: for test_damage.py."""

import contextlib
import io
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fewshot.cli import main as fewshot_main
from probe.cli import main as probe_main
from probe.predict import main as predict_main
from probe.report.cli import main as report_main
from probe.search.cli import main as search_main
from store.cli import main as store_main
from store.errors import UserError
from store.listing import Listing, write_listing
from store.root import open_root
from tests.conftest import write_set

DIM, BLOCK_ROWS = 5, 16
COUNTS = {"train": 48, "val": 32, "test": 32}
SAME, TOLD, SILENT, BROKEN = "same", "told", "SILENT", "BROKEN"


def make(folder: Path, backend: str) -> Path:
    """A store of two datasets x three splits x two backbones, with records, heads and Gram blocks of the first."""
    root, url = open_root(folder), str(folder)
    for number, (dataset, backbone) in enumerate((("toy", "a"), ("toy", "b"), ("twin", "a"))):
        rng = np.random.default_rng(number)
        for split, count in COUNTS.items():
            label = np.random.default_rng(len(dataset + split)).permutation(count) % 4
            x = (rng.normal(size=(count, DIM)) + label[:, None] * 0.4).astype(np.float32)
            targets = {"label": label, "unit": np.arange(count) // 2}
            classes = {"unit": [f"{dataset}-{split}-{unit}" for unit in range(count // 2)]}
            write_set(root, x, targets, dataset=dataset, split=split, backbone=backbone, classes=classes,
                      block_rows=BLOCK_ROWS, backend=backend)  # fmt: skip
    for dataset in ("toy", "twin"):
        splits = {split: next((folder / "samples" / dataset / split).iterdir()).name for split in COUNTS}
        write_listing(root, Listing(dataset, dataset, "", splits))
    for features in ("a", "a,b"):
        run(probe_main, "--features", features, "--store", url, *PROBE)
    run(search_main, "--features", "a,b", "--store", url, *SEARCH)
    run(fewshot_main, "--features", "a", "--features", "b", "--store", url, *FEWSHOT)
    return folder


PROBE = ("--dataset", "toy", "--solver", "ridge", "--weight-decay", "1e-2,1", "--json")
SEARCH = ("--dataset", "toy", "--confirm", "0", "--json")
FEWSHOT = ("--dataset", "toy", "--split", "test", "--episodes", "20", "--ways", "2", "--shots", "1", "--queries", "3",
           "--json")  # fmt: skip


def run(main: Callable[[list[str]], int], *argv: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main(list(argv))
    return out.getvalue()


def _numbers(text: str) -> list[object]:
    """What a command printed as JSON, without what differs from run to run."""
    changing = {"seconds", "head", "record", "blocks_made"}

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items() if key not in changing}
        return [plain(item) for item in value] if isinstance(value, list) else value

    return [plain(json.loads(text))]


def export(store: Path, aside: Path) -> list[object]:
    found: list[object] = []
    for split in ("train", "test"):
        file = aside / f"{split}.npz"
        run(store_main, "export", str(file), "--dataset", "toy", "--split", split, "--features", "a,b", "--overwrite",
            "--store", str(store))  # fmt: skip
        with np.load(file) as arrays:
            found += [(name, arrays[name].tolist()) for name in sorted(arrays.files)]
    return found


def probe(store: Path, aside: Path) -> list[object]:
    return _numbers(run(probe_main, "--features", "a,b", "--store", str(store), "--records", str(aside / "r"), *PROBE))


def fewshot(store: Path, aside: Path) -> list[object]:
    argv = ("--features", "a", "--features", "b", "--store", str(store), "--records", str(aside / "r"), *FEWSHOT)
    return _numbers(run(fewshot_main, *argv))


def search(store: Path, aside: Path) -> list[object]:
    argv = ("--features", "a,b", "--store", str(store), "--records", str(aside / "s"), *SEARCH)
    try:
        return _numbers(run(search_main, *argv))
    finally:
        shutil.rmtree(aside / "s", ignore_errors=True)  # Gram blocks that were made again


def predict(store: Path, aside: Path) -> list[object]:
    heads = (
        sorted(path.stem for path in (store / "heads").glob("*.npz")) if not aside.joinpath("heads").exists() else []
    )
    heads = heads or (aside / "heads").read_text().split()
    return [_numbers(run(predict_main, "--head", head, "--store", str(store), "--json")) for head in heads]


def report(store: Path, aside: Path) -> list[object]:
    argv = ("--store", str(store), "--all", "--json")
    return _numbers(run(report_main, *argv))


COMMANDS: dict[str, Callable[[Path, Path], list[object]]] = {
    "export": export, "probe": probe, "fewshot": fewshot, "search": search, "predict": predict, "report": report,
}  # fmt: skip


def files(store: Path) -> list[Path]:
    """Every file of the dataset toy and of what was found on it, one set and its samples standing for each split."""
    found = sorted(path for path in store.rglob("*") if path.is_file())
    return [path for path in found if "twin" not in path.relative_to(store).parts]


def sibling(store: Path, path: Path) -> Path | None:
    """A file of the same kind: another block of the array, else the same of another backbone, else of another split."""
    near = [other for other in sorted(path.parent.iterdir()) if other != path and other.suffix == path.suffix]
    if path.parent.name == "datasets":
        return near[0]
    near = [other for other in near if other.is_file() and ("json" not in path.suffix or path.parts[-3] == "records")]
    return (
        near[0]
        if near
        else (_like(store, path, "b", 3) or _like(store, path, "test", 2) or _like(store, path, "val", 2))
    )


def other(store: Path, path: Path) -> Path | None:
    """The same file of a feature set, or list of samples, of the other dataset."""
    return _like(store, path, "twin", 1)


def _like(store: Path, path: Path, name: str, level: int) -> Path | None:
    """The file at the same place below another name at one level of the path."""
    parts = path.relative_to(store).parts
    if parts[0] not in ("features", "samples") or level >= len(parts) - 1 or (level == 3 and parts[0] == "samples"):
        return None
    top = store.joinpath(*parts[:level], name)
    depth = {"features": 5, "samples": 4}[parts[0]]
    rest = ["*" if len(part) == 64 else part for part in parts[level + 1 :]]
    found = [one for one in sorted(top.glob("/".join(rest))) if one != path and one.is_file()] if depth else []
    return found[0] if found else None


def _put(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)  # maps of the old file stay whole
    path.write_bytes(data)


def flip(path: Path, at: float, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 1 << bit
    _put(path, bytes(data))


def truncate(path: Path, keep: float) -> None:
    data = path.read_bytes()
    _put(path, data[: int(keep * len(data))])


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link(path: Path, to: Path) -> None:
    path.unlink()
    path.symlink_to(to)


def swap(path: Path, with_: Path) -> None:
    a, b = path.read_bytes(), with_.read_bytes()
    _put(path, b)
    _put(with_, a)


def damages(store: Path, path: Path, flips: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every way to damage a file, by name; `flips` places of it have a bit turned over."""
    for number in range(flips):
        yield f"flip {number}", lambda at=(number + 0.5) / flips, bit=number % 3: flip(path, at, bit)  # type: ignore[misc]
    yield "truncate", lambda: truncate(path, 0.9)
    yield "delete", path.unlink
    yield "empty", lambda: _put(path, b"")
    yield "folder", lambda: folder(path)
    yield "dead link", lambda: link(path, path.with_name("nowhere"))
    yield "link to itself", lambda: link(path, path)
    if (near := sibling(store, path)) is not None:
        yield "swap", lambda: swap(path, near)
        yield "link to sibling", lambda: link(path, near)
    if (far := other(store, path)) is not None:
        yield "copy", lambda: _put(path, far.read_bytes())


class Told(logging.Handler):
    """What was logged as a warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def outcome(command: str, store: Path, aside: Path, clean: list[object], key: str, deleted: bool) -> tuple[str, str]:
    """What a command makes of a damaged store, and in which words."""
    told = Told()
    logging.getLogger().addHandler(told)
    try:
        found = COMMANDS[command](store, aside)
    except UserError as error:
        return TOLD, str(error)
    except SystemExit as error:
        return TOLD, f"exit {error.code}"
    except Exception as error:
        return BROKEN, f"{type(error).__name__}: {error}"
    finally:
        logging.getLogger().removeHandler(told)
    if found == clean:
        return SAME, ""
    if any(key in text for text in told.texts):
        return TOLD, told.texts[0]
    if deleted and key.startswith("records/"):
        return SAME, "a record that was removed is not there"
    return SILENT, f"{str(found)[:200]} for {str(clean)[:200]}"


def restore(whole: dict[Path, bytes], *paths: Path | None) -> None:
    """Put back what was damaged."""
    for path in filter(None, paths):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        _put(path, whole[path])
