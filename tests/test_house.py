"""The rules of the house that no linter knows."""

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from extract.datasets.table import DATASETS
from extract.models.architectures import ARCHITECTURES
from fewshot.classifiers import CLASSIFIERS
from probe.solvers import SOLVERS

TOP = Path(__file__).parents[1]
PACKAGES = ("store", "extract", "probe", "fewshot")
MAX_LINES = 300
CLAIMS = {"crash", "damage", "format", "identity", "scale"}
"""Test files about what several source files do together."""


def test_no_file_is_longer_than_300_lines() -> None:
    sources = [path for folder in (*PACKAGES, "tests") for path in (TOP / folder).rglob("*.py")]
    lengths = {str(path.relative_to(TOP)): len(path.read_text().splitlines()) for path in sources}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}
    assert len(lengths) > 40


@pytest.mark.parametrize("package", PACKAGES)
def test_tests_mirror_the_source(package: str) -> None:
    sources = {path.relative_to(TOP / package).with_suffix("").name for path in (TOP / package).rglob("*.py")}
    tests = list((TOP / "tests" / package).rglob("test_*.py"))
    assert tests
    for path in tests:
        name = path.stem.removeprefix("test_")
        mirrors = any(name.startswith(source) for source in sources)
        assert mirrors or name in CLAIMS, f"{path} mirrors no source file and names no claim"


@pytest.mark.parametrize(
    "arguments",
    [
        ["extract", "--help"],
        ["extract", "--list"],
        ["extract", "--list-datasets"],
        ["extract.pretrain", "--help"],
        ["extract.pretrain", "--list"],
        ["extract.finetune", "--help"],
        ["extract.distill", "--help"],
        ["extract.bonsai", "--help"],
        ["extract.heads", "--help"],
        ["extract.download", "--help"],
        ["extract.download", "--list"],
        ["probe", "--list"],
        ["fewshot", "--list"],
        ["store", "--help"],
        ["probe", "--help"],
        ["probe.search", "--help"],
        ["fewshot", "--help"],
        ["probe.report", "--help"],
        ["probe.report", "--list"],
    ],
    ids=" ".join,
)
def test_help_and_lists_answer_without_loading_torch(arguments: list[str]) -> None:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *arguments], capture_output=True, text=True, cwd=TOP, check=False
    )
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert len(done.stdout) > 200
    assert not imported & {"torch", "zarr", "sklearn", "faiss"}, f"heavy imports within {seconds:.2f} s"


@pytest.mark.parametrize(
    "arguments",
    [
        ["extract.cli", "--list"],
        ["extract.cli", "--list-datasets"],
        ["extract.pretrain", "--list"],
        ["extract.finetune", "--list"],
        ["extract.distill", "--list"],
        ["extract.bonsai", "--list"],
        ["extract.download", "--list"],
        ["extract.download", "--check", "digits"],
        ["probe.cli", "--list"],
        ["fewshot.cli", "--list"],
        ["probe.report.cli", "--list"],
    ],
    ids=" ".join,
)
def test_lists_are_json_where_that_is_asked_for(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    module, *flags = arguments
    assert importlib.import_module(module).main([*flags, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_rows_of_tables_name_code_that_is_there() -> None:
    named = [(f"probe.solvers.{row.file}", row.function) for row in SOLVERS.values()]
    named += [(f"extract.datasets.{row.reader}", "open_split") for row in DATASETS.values()]
    for folder, functions in (
        ("fewshot.classifiers", [row.function for row in CLASSIFIERS.values()]),
        ("extract.models", [row.build for row in ARCHITECTURES.values()]),
    ):
        named += [(f"{folder}.{module}", function) for module, _, function in (f.partition(":") for f in functions)]
    for module, function in named:
        assert callable(getattr(importlib.import_module(module), function, None)), (
            f"{module} has no function {function}"
        )
