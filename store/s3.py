"""An S3 prefix as a root, through obstore (extra `s3`). One object, one put: S3 shows it whole or not at all."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from store.errors import BadValue, RootError
from store.root import Bytes

RETRY: Any = {
    "max_retries": 10,
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=15), "base": 2.0},
    "retry_timeout": timedelta(seconds=180),
}
"""Of one attempt: the pauses are random, so ten retries may be over after five seconds."""
WAIT_SECONDS = 60.0
"""A server that is away, or an answer that breaks off, is tried again for so long."""
PAUSE_SECONDS = 1.0
_PASSING = ("error sending request", "response body", "Content-Range header not present")
"""In the first line of what may be otherwise a moment later."""
_LASTING = ("credential", "169.254")


class S3Root:
    """`s3://bucket/prefix`. Credentials, region and endpoint come from the usual AWS_* environment variables."""

    def __init__(self, url: str) -> None:
        try:
            from obstore.store import S3Store
        except ImportError as error:
            raise BadValue(f"store {url}: object storage needs the extra s3: pip install 'motherlode[s3]'") from error
        if not url.removeprefix("s3://").strip("/"):
            raise BadValue(f"store {url!r}: name a bucket, s3://bucket/prefix")
        self.url = url.rstrip("/")
        try:
            self._store: Any = S3Store.from_url(self.url, retry_config=RETRY)
        except Exception as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadValue(f"store {url!r} is no address: {first}; give s3://bucket/prefix") from error

    def _ask(self, doing: str, ask: Callable[[], Any], *, may_lack: bool = False) -> Any:
        """What the server answers, asked again for WAIT_SECONDS where it is away or breaks off.

        Raises `RootError`; `FileNotFoundError` where the object `may_lack`.
        """
        until = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                return ask()
            except Exception as error:
                if may_lack and isinstance(error, FileNotFoundError):
                    raise
                first = str(error).partition("\n")[0]
                passing = any(sign in first for sign in _PASSING) and not any(sign in first for sign in _LASTING)
                if not passing or time.monotonic() + PAUSE_SECONDS > until:
                    raise self._failed(doing, error) from error
            time.sleep(PAUSE_SECONDS)

    def _failed(self, doing: str, error: Exception) -> RootError:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return RootError(
            f"store {self.url}: cannot {doing}: {first}. "
            "What was committed is untouched: run the same command again when the store answers"
        )

    def put(self, key: str, data: Bytes) -> None:
        view = memoryview(data).cast("B")
        self._ask(f"write {key}", lambda: self._store.put(key, view, use_multipart=False))

    def put_new(self, key: str, data: Bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError

        view = memoryview(data).cast("B")

        def put() -> bool:
            try:
                self._store.put(key, view, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            return True

        return bool(self._ask(f"write {key}", put))

    def get(self, key: str) -> bytes:
        return bytes(self._ask(f"read {key}", lambda: self._store.get(key).bytes(), may_lack=True))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return bytes(
            self._ask(f"read {key}", lambda: self._store.get_range(key, start=start, length=length), may_lack=True)
        )

    def size(self, key: str) -> int | None:
        try:
            return int(self._ask(f"look at {key}", lambda: self._store.head(key), may_lack=True)["size"])
        except FileNotFoundError:
            return None

    def _list(self, prefix: str) -> Any:
        below = prefix.rstrip("/") or None
        return self._ask(f"list {prefix}", lambda: self._store.list_with_delimiter(below))

    def _below(self, prefix: str) -> Any:
        """Every object below a prefix."""
        return self._ask(f"list {prefix}", lambda: [item for chunk in self._store.list(prefix) for item in chunk])

    def times(self, prefix: str) -> dict[str, float]:
        return {Path(item["path"]).name: item["last_modified"].timestamp() for item in self._list(prefix)["objects"]}

    def list(self, prefix: str) -> dict[str, int | None]:
        found = self._list(prefix)
        names: dict[str, int | None] = {Path(folder).name: None for folder in found["common_prefixes"]}
        return names | {Path(item["path"]).name: int(item["size"]) for item in found["objects"]}

    def newest(self, prefix: str) -> float | None:
        return max((item["last_modified"].timestamp() for item in self._below(prefix)), default=None)

    def link(self, key: str) -> str | None:  # noqa: ARG002
        return None

    def remove(self, prefix: str) -> None:
        below = [item["path"] for item in self._below(prefix)]
        self._ask(f"remove {prefix}", lambda: self._store.delete([prefix, *below]))

    def hold(self, key: str) -> object:
        return key

    def held(self, key: str) -> bool | None:  # noqa: ARG002
        return None

    def check_there(self) -> None:
        pass

    def partials(self, older_than: float) -> Sequence[str]:  # noqa: ARG002
        return []

    def path(self, key: str) -> Path | None:  # noqa: ARG002
        return None

    def free_bytes(self) -> int | None:
        return None
