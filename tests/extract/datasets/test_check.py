import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from extract.datasets import DATASETS
from extract.datasets.check import check
from extract.download import main
from store.errors import UnknownName

Make = Callable[[str], Path]


def test_a_complete_folder(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    root = make("imagenet")
    assert main(["--check", f"folder:{root / 'imagenet'}"]) == 0
    assert capsys.readouterr().out == f"folder:{root / 'imagenet'} is complete\n"
    assert check("digits") == check("openmoji") == []


@pytest.mark.parametrize("name", [name for name, row in DATASETS.items() if row.folder])
def test_a_dataset_that_is_not_there_says_how_to_get_it(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extract.datasets.fashion_mnist.DEBIAN", tmp_path)
    found = check(name, tmp_path)
    assert 1 <= len(found) == len(set(found)) <= len(DATASETS[name].splits)
    assert all(str(tmp_path) in text for text in found)
    assert all("http" in text or "--download" in text for text in found)


def test_missing_extra_and_empty_files_are_counted(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    root = make("camelyon17")
    top = root / "camelyon17/camelyon17_v1.0"
    files = sorted((top / "patches/patient_044_node_2").iterdir())
    files[0].unlink()
    files[1].write_bytes(b"")
    shutil.copy(files[2], top / "patches/mine.png")
    assert main(["--check", "camelyon17", "--data-root", str(root)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "camelyon17/train: 61 images, 302436 were published"
    missing = next(line for line in lines if "are missing" in line)
    assert missing == f"camelyon17/test: 1 of 24 images are missing below {top}: {files[0].relative_to(top)}"
    assert f"camelyon17/test: 1 files are empty: {files[1].relative_to(top)}" in lines
    assert lines[-1] == f"{top}: 1 images belong to no split: patches/mine.png"


def test_damaged_archives_are_named(make: Make) -> None:
    root = make("cifar10")
    found = check("cifar10", root)
    batches = [text for text in found if "its md5 is" in text]
    assert len(batches) == 7
    assert "that published is c99cafc152244af753f735de768cd75f; fetch it again" in batches[0]
    assert found[-2:] == [
        "cifar10/train: 100 images, 50000 were published",
        "cifar10/test: 20 images, 10000 were published",
    ]


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extract.datasets.check.find_spec", lambda _name: None)
    assert check("digits") == ["digits: the package sklearn is not installed; scikit-learn's load_digits"]


def test_several_datasets_and_json(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    root = make("cub")
    assert main(["--check", "digits,cub", "--data-root", str(root), "--json"]) == 1
    digits, cub = json.loads(capsys.readouterr().out)
    assert digits == {"dataset": "digits", "findings": []}
    assert cub["findings"][0] == "cub/base: 216 images, 5885 were published"


def test_an_unknown_dataset() -> None:
    with pytest.raises(UnknownName, match="unknown dataset 'cifar11'; nearest: cifar10"):
        check("cifar11")
