"""How a person names a feature set: dataset, split, backbone."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from store.errors import BadValue

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:+=-]*")


def check_name(kind: str, name: str) -> str:
    """Return `name` if it may become a folder of the store, else raise `BadValue`.

    Letters, digits and `. _ @ : + = -`, up to 128 characters, beginning with a letter or digit: no name from
    outside can leave its folder, and every name means the same on every file system and object store.
    """
    if _NAME.fullmatch(name) and len(name) <= 128:
        return name
    raise BadValue(
        f"{kind} name {name!r} cannot be stored: use 1 to 128 of the letters A-Z a-z, digits and . _ @ : + = -, "
        "beginning with a letter or digit"
    )


def is_hash(name: str) -> bool:
    """Whether a name is a fingerprint, a samples id or a hash of targets: 64 lower-case hex digits."""
    return re.fullmatch(r"[0-9a-f]{64}", name) is not None


def to_folder(name: str) -> str:
    """The folder of a checked name: `:` is not allowed on every file system."""
    return quote(
        name, safe="@+=", errors="surrogateescape"
    )  # bytes that are no UTF-8, in a name typed: nothing is there


def from_folder(folder: str) -> str:
    return unquote(folder)


def user_path(path: str | Path) -> Path:
    """A path that a person gave, with `~` or `~name` in place of a home. Raises `BadValue`: there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise BadValue(f"{str(path)!r}: there is no user {Path(path).parts[0]}; give the path without ~") from error


def dataset_name(dataset: str) -> str:
    """The store's name of what `--dataset` says.

    `folder:PATH` and `csv:FILE` become `<last part>-<6 hex digits of the full path>`, so that two folders with the
    same last part do not mix; any other text is a name already. Touches no file.
    """
    kind, sep, path = dataset.partition(":")
    if sep and kind in ("folder", "csv"):
        full = user_path(path).resolve()
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", full.stem if kind == "csv" else full.name).strip("-._") or kind
        return f"{stem[:64]}-{hashlib.sha256(str(full).encode()).hexdigest()[:6]}"
    return check_name("dataset", dataset)


@dataclass(frozen=True, order=True)
class FeatureKey:
    """Names one feature set for a person; the fingerprint beside it names what made it."""

    dataset: str
    split: str
    backbone: str

    def __post_init__(self) -> None:
        for kind in ("dataset", "split", "backbone"):
            check_name(kind, getattr(self, kind))

    def __str__(self) -> str:
        return f"{self.dataset}/{self.split}/{self.backbone}"

    @property
    def folder(self) -> str:
        """Where the fingerprints of this key lie, relative to the root."""
        return "/".join(["features", to_folder(self.dataset), to_folder(self.split), to_folder(self.backbone)])
