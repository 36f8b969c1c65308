"""An S3 prefix as a root, through obstore (extra `s3`). One object, one put: S3 shows it whole or not at all."""

from collections.abc import Sequence
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
"""A server that is away is waited for, for about a minute."""


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
        self._store: Any = S3Store.from_url(self.url, retry_config=RETRY)

    def _failed(self, doing: str, error: Exception) -> RootError:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return RootError(
            f"store {self.url}: cannot {doing}: {first}. "
            "What was committed is untouched: run the same command again when the store answers"
        )

    def put(self, key: str, data: Bytes) -> None:
        try:
            self._store.put(key, memoryview(data).cast("B"), use_multipart=False)
        except Exception as error:
            raise self._failed(f"write {key}", error) from error

    def put_new(self, key: str, data: Bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError

        try:
            self._store.put(key, memoryview(data).cast("B"), mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except Exception as error:
            raise self._failed(f"write {key}", error) from error
        return True

    def get(self, key: str) -> bytes:
        try:
            return bytes(self._store.get(key).bytes())
        except FileNotFoundError:
            raise
        except Exception as error:
            raise self._failed(f"read {key}", error) from error

    def get_range(self, key: str, start: int, length: int) -> bytes:
        try:
            return bytes(self._store.get_range(key, start=start, length=length))
        except FileNotFoundError:
            raise
        except Exception as error:
            raise self._failed(f"read {key}", error) from error

    def size(self, key: str) -> int | None:
        try:
            return int(self._store.head(key)["size"])
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failed(f"look at {key}", error) from error

    def _list(self, prefix: str) -> Any:
        try:
            return self._store.list_with_delimiter(prefix.rstrip("/") or None)
        except Exception as error:
            raise self._failed(f"list {prefix}", error) from error

    def times(self, prefix: str) -> dict[str, float]:
        return {Path(item["path"]).name: item["last_modified"].timestamp() for item in self._list(prefix)["objects"]}

    def list(self, prefix: str) -> dict[str, int | None]:
        found = self._list(prefix)
        names: dict[str, int | None] = {Path(folder).name: None for folder in found["common_prefixes"]}
        return names | {Path(item["path"]).name: int(item["size"]) for item in found["objects"]}

    def newest(self, prefix: str) -> float | None:
        try:
            found = [item["last_modified"].timestamp() for chunk in self._store.list(f"{prefix}/") for item in chunk]
        except Exception as error:
            raise self._failed(f"list {prefix}", error) from error
        return max(found, default=None)

    def link(self, key: str) -> str | None:  # noqa: ARG002
        return None

    def remove(self, prefix: str) -> None:
        try:
            below = [item["path"] for chunk in self._store.list(prefix) for item in chunk]
            self._store.delete([prefix, *below])
        except Exception as error:
            raise self._failed(f"remove {prefix}", error) from error

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
