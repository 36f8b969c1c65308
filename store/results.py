"""Results of a run beside the features it reads: in the same store or in another, and never lost where none takes them.

Heads, records, predictions and Gram blocks are results. One that cannot be stored is kept in memory for as long as the
run lasts, so that it ends and prints what it found; `finish` then says what was not kept.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from store.errors import RootError
from store.root import Bytes, Root, open_root

log = logging.getLogger("store")
RESULTS = ("heads", "records", "predictions", "grams")
"""Top folders of what runs find; all others are read."""
CACHED = ("grams",)
"""Of those, what is only kept to be quicker next time."""


class ResultsRoot:
    """Implements `Root`: results go to another root than the rest. Results are looked for in both.

    Used in a `with` statement, it raises `RootError` at the end if a result could not be stored.
    """

    def __init__(self, features: Root, results: Root) -> None:
        self.url = features.url
        self._features, self._results = features, results
        self._lost: dict[str, bytes] = {}
        self._errors: list[RootError] = []

    def __enter__(self) -> Root:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()

    def finish(self) -> None:
        """Raise `RootError` if results were not stored."""
        if self._errors:
            lost = sorted({key.split("/")[0] for key in self._lost} - set(CACHED))
            raise RootError(
                f"what was found is whole, but its {', '.join(lost)} could not be stored: {self._errors[0]}. "
                "--records DIR keeps them in another store"
            ) from self._errors[0]

    def _of(self, key: str) -> Root:
        """The root that holds an object; where none does, the one it belongs to."""
        if not _is_result(key):
            return self._features
        elsewhere = self._results.size(key) is None and self._features.size(key) is not None
        return self._features if elsewhere else self._results

    def _keep(self, key: str, data: Bytes, error: RootError) -> None:
        top = key.split("/", maxsplit=1)[0]
        if top not in CACHED:
            self._errors.append(error)
        elif not any(lost.startswith(f"{top}/") for lost in self._lost):
            log.warning("%s. The %s of this run stay in memory", error, top)
        self._lost[key] = memoryview(data).cast("B").tobytes()

    def put(self, key: str, data: Bytes) -> None:
        if not _is_result(key):
            self._features.put(key, data)
            return
        try:
            self._results.put(key, data)
        except RootError as error:
            self._keep(key, data, error)

    def put_new(self, key: str, data: Bytes) -> bool:
        return (self._results if _is_result(key) else self._features).put_new(key, data)

    def get(self, key: str) -> bytes:
        return self._lost[key] if key in self._lost else self._of(key).get(key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self._of(key).get_range(key, start, length)

    def size(self, key: str) -> int | None:
        return len(self._lost[key]) if key in self._lost else self._of(key).size(key)

    def list(self, prefix: str) -> dict[str, int | None]:
        if not _is_result(prefix):
            return self._features.list(prefix)
        below = f"{prefix.rstrip('/')}/"
        lost: dict[str, int | None] = {
            key.removeprefix(below): len(data)
            for key, data in self._lost.items()
            if key.startswith(below) and "/" not in key.removeprefix(below)
        }
        return self._features.list(prefix) | self._results.list(prefix) | lost

    def times(self, prefix: str) -> dict[str, float]:
        return self._of(prefix).times(prefix)

    def newest(self, prefix: str) -> float | None:
        return self._of(prefix).newest(prefix)

    def link(self, key: str) -> str | None:
        return self._of(key).link(key)

    def remove(self, prefix: str) -> None:
        (self._results if _is_result(prefix) else self._features).remove(prefix)

    def hold(self, key: str) -> object:
        return self._features.hold(key)

    def held(self, key: str) -> bool | None:
        return self._features.held(key)

    def check_there(self) -> None:
        self._features.check_there()

    def path(self, key: str) -> Path | None:
        return self._of(key).path(key)

    def free_bytes(self) -> int | None:
        return self._features.free_bytes()

    def partials(self, older_than: float) -> Sequence[str]:
        return self._features.partials(older_than)


def open_for_results(store: str | None, records: str | None) -> ResultsRoot:
    """The store that a run reads features from, which keeps its results too, or in the store `records` if given."""
    features = open_root(store)
    return ResultsRoot(features, features if records is None else open_root(records))


def _is_result(key: str) -> bool:
    return key.split("/", maxsplit=1)[0] in RESULTS
