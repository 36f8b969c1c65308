"""Episodes as a file: NumPy's npz, tied to the samples it numbers."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fewshot.episodes import Episodes, EpisodeSet
from fewshot.pool import Pool
from store.errors import BadValue, FormatError, SamplesMismatch
from store.json_text import parse_json
from store.whole import written

FORMAT = 1
_ARRAYS = {"support": 3, "query": 3, "classes": 2, "number": 1}
"""Array of a batch -> its dimensions."""


def write(path: str, sets: Sequence[EpisodeSet], pool: Pool, target: str) -> None:
    """Write episode sets; the file appears whole or not at all. Raises `BadValue`: it cannot be written.

    Header (JSON text): format, samples, splits, target, sets: [{ways, shots, queries, repeats, classes,
    batches}]. Arrays of batch j of set i: `{i}.{j}.support` (E, W, S), `.query` (E, W, Q), `.classes` (E, W), `.number`
    (E,).
    """
    described = [
        {"ways": s.ways, "shots": s.shots, "queries": s.queries, "repeats": s.repeats, "classes": s.classes,
         "batches": len(s.batches)}
        for s in sets
    ]  # fmt: skip
    header = {"format": FORMAT, "samples": pool.id, "splits": pool.splits, "target": target, "sets": described}
    arrays: dict[str, Any] = {"header": np.array(json.dumps(header))}
    for i, episodes in enumerate(sets):
        for j, batch in enumerate(episodes.batches):
            found = (batch.support_EWS, batch.query_EWQ, batch.classes_EW, batch.number_E)
            for name, array in zip(_ARRAYS, found, strict=True):
                arrays[f"{i}.{j}.{name}"] = array.astype(np.int32) if pool.starts[-1] < 1 << 31 else array
    with written(Path(path)) as file:
        np.savez_compressed(file, **arrays)


def read(path: str, pool: Pool) -> list[EpisodeSet]:
    """Read episode sets and check that they belong to the pool.

    Raises: BadValue, FormatError: no such file, or not one that `write` wrote. SamplesMismatch: it numbers other
        samples, or images without features.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = parse_json(str(arrays["header"]))
        known = header["format"] == FORMAT
        sets = [_read_set(arrays, i, text) for i, text in enumerate(header["sets"])] if known else []
    except OSError as error:
        raise BadValue(f"cannot read episodes from {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        why = "" if "pickle" in str(error) else f": {error}"  # numpy's advice there is to load it unsafely
        raise FormatError(
            f"{path} is no episode file, as python -m fewshot --write-episodes FILE writes it{why}"
        ) from error
    if not known:
        raise FormatError(f"{path} has format {header['format']!r}; this version reads {FORMAT}")
    if header.get("samples") != pool.id:
        raise SamplesMismatch(
            f"the episodes of {path} number other images: of {', '.join(map(str, header.get('splits', ())))}, samples "
            f"{str(header.get('samples'))[:8]}; these features are of {', '.join(pool.splits)}, samples {pool.id[:8]}. "
            "Give the --dataset and --split they were drawn from, or draw new ones"
        )
    for episodes in sets:
        _check_rows(path, episodes, pool)
    return sets


def read_target(path: str) -> str:
    """The target column of the classes in a file that `read` could read."""
    with np.load(path, allow_pickle=False) as file:
        return str(parse_json(str(file["header"])).get("target", "label"))


def _read_set(arrays: dict[str, np.ndarray], i: int, text: dict[str, Any]) -> EpisodeSet:
    batches = []
    for j in range(int(text["batches"])):
        support, query, classes, number = (_array(arrays[f"{i}.{j}.{name}"], dims) for name, dims in _ARRAYS.items())
        count, way = classes.shape
        if support.shape[:2] != (count, way) or query.shape[:2] != (count, way) or number.shape != (count,):
            raise ValueError(f"the arrays of batch {i}.{j} do not fit together")
        batches.append(Episodes(support, query, classes.astype(np.int32), number))
    seen = len(np.unique(np.concatenate([batch.classes_EW.ravel() for batch in batches])))
    known = max(seen, int(text.get("classes", seen)))  # files of before do not tell, and name what occurs
    made = EpisodeSet(
        str(text["ways"]), str(text["shots"]), int(text["queries"]), int(text["repeats"]), tuple(batches), known
    )
    numbers = np.sort(np.concatenate([batch.number_E for batch in batches]))
    if not np.array_equal(numbers, np.arange(len(numbers))) or made.repeats < 1 or len(numbers) % made.repeats:
        raise ValueError(f"set {i} does not number its episodes through")
    return made


def _array(array: np.ndarray, dims: int) -> np.ndarray:
    if array.dtype.kind != "i" or array.ndim != dims or not array.size:
        raise ValueError(f"an array of {array.dtype} {array.shape} where {dims} dimensions of integers belong")
    return array.astype(np.int64)


def _check_rows(path: str, episodes: EpisodeSet, pool: Pool) -> None:
    used = np.unique(np.concatenate([rows.ravel() for b in episodes.batches for rows in (b.support_EWS, b.query_EWQ)]))
    if used[0] < 0 or used[-1] >= pool.starts[-1]:
        raise FormatError(f"{path} has rows {used[0]} to {used[-1]}, but there are {pool.starts[-1]} images")
    if (lost := np.setdiff1d(used, pool.rows)).size:
        raise SamplesMismatch(
            f"{path} uses {len(lost)} images that could not be read when features were extracted, first "
            f"{pool.sample(int(lost[0]))}: mend the image and extract it again, or draw new episodes"
        )
