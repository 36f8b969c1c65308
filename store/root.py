"""Where the store lies: a folder or an S3 prefix. Nothing above local.py and s3.py knows which.

A root maps keys ("features/.../x/c.0.0") to whole objects. An object appears under its name complete or not at all.
"""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from store.errors import BadValue, RootError
from store.keys import user_path
from store.tables import bytes_text

DEFAULT_ROOT = "data/features"

Bytes = Any
"""bytes, memoryview or a C-contiguous numpy array."""


class Root(Protocol):
    url: str

    def put(self, key: str, data: Bytes) -> None:
        """Store an object; durable when this returns. Replaces what was there, at once."""

    def put_new(self, key: str, data: Bytes) -> bool:
        """Store an object if there is none; False if there was. Of several callers one wins."""

    def get(self, key: str) -> bytes:
        """Raises `FileNotFoundError`."""

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """`length` bytes of an object from `start` on, without reading the rest; fewer at its end."""

    def size(self, key: str) -> int | None:
        """Bytes of an object; None if there is none."""

    def list(self, prefix: str) -> dict[str, int | None]:
        """What lies directly below `prefix`: objects with their size, folders with None."""

    def times(self, prefix: str) -> dict[str, float]:
        """When the objects directly below `prefix` were written, seconds since 1970."""

    def newest(self, prefix: str) -> float | None:
        """When the newest object anywhere below `prefix` was written; None: there is none, or it cannot be known."""

    def link(self, key: str) -> str | None:
        """The key of the first link on the way to `key`, or `key` itself; None where there is none."""

    def remove(self, prefix: str) -> None:
        """Delete an object or all below a folder; nothing there is no error. Raises `RootError`: behind a link."""

    def hold(self, key: str) -> object:
        """Tell `held` that somebody works here, for as long as the returned object lives or its process does."""

    def held(self, key: str) -> bool | None:
        """Whether somebody holds this object; None where that cannot be known."""

    def check_there(self) -> None:
        """Raise `RootError` if the root was there and is no longer."""

    def path(self, key: str) -> Path | None:
        """The file of a key, for memory mapping; None where there are no files."""

    def free_bytes(self) -> int | None:
        """Room left, where that is known."""

    def partials(self, older_than: float) -> Sequence[str]:
        """Keys of what killed processes left half-written, older than so many seconds."""


def default_root() -> str:
    return os.environ.get("FEATURE_STORE") or DEFAULT_ROOT


def list_command(store: str | None) -> str:
    """The command that lists what is in a store, None being the usual one."""
    return "python -m store ls" + ("" if store in (None, default_root()) else f" --store {shlex.quote(str(store))}")


def store_flag(root: Root) -> str:
    """What a command that is advised has to say of the store, with a space before it; nothing for the usual one."""
    return "" if root.url == default_root() else f" --store {shlex.quote(root.url)}"


def repair_advice(root: Root) -> str:
    """The command that removes what is damaged in a store, and what it does, as the end of an error's text."""
    return (
        f"`python -m store verify --repair{store_flag(root)}`: it removes what is damaged and says how to make it again"
    )


def open_root(url: str | Path | None = None) -> Root:
    """Open a store by path or `s3://bucket/prefix`; None takes $FEATURE_STORE or data/features. Creates nothing."""
    url = default_root() if url is None else str(url)
    if not url:
        raise BadValue("the store's address is empty: give a folder or s3://bucket/prefix, or leave --store out")
    if url.startswith("s3://"):
        from store.s3 import S3Root

        return S3Root(url)
    if scheme := re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", url):
        rest = url[scheme.end() :].strip("/")
        meant = {"s3:/": f"s3://{rest}", "file:/": f"/{rest}"}.get(scheme[0].lower())
        raise BadValue(
            f"store {url!r}: only folders and s3://bucket/prefix are known" + (f"; perhaps {meant}" if meant else "")
        )
    from store.local import LocalRoot

    return LocalRoot(user_path(url))


def check_room(root: Root, needed: int, advice: str = "") -> None:
    """Raise `RootError` where the disk cannot hold so many bytes."""
    free = root.free_bytes()
    if free is not None and needed > free:
        raise RootError(
            f"store {root.url}: the features need {bytes_text(needed)}, but {bytes_text(free)} are free; "
            f"free some room, or give another --store{advice}"
        )
