"""Files from concatenations, for other programs and other stores."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from store.concat import open_features
from store.errors import BadValue
from store.exchange import pick_dtype
from store.formats import PORTION, WRITERS, array_name, names_name, write_arrays
from store.overlap import contents
from store.root import Root
from store.source import check_source

log = logging.getLogger("store")


def export_file(
    root: Root, path: Path, dataset: str, split: str, names: str, *, dtype: str | None = None, overwrite: bool = False
) -> tuple[int, int]:
    """Write the concatenation `names` with its samples and targets to a file; returns its shape.

    The dtype is that of the parts where they agree, else float32.
    """
    if path.exists() and not overwrite:
        raise BadValue(f"{path} is there already: --overwrite replaces it")
    if path.suffix.lower() not in WRITERS:
        raise BadValue(f"{path}: the format is told by the suffix, one of {', '.join(WRITERS)}")
    x = open_features(root, dataset, split, names)
    check_source(root, dataset, {split: x})
    kinds = {part.manifest.dtype for part in x.parts}
    kind = np.dtype(pick_dtype(np.dtype(kinds.pop() if len(kinds) == 1 else "float32"), dtype))
    samples, hashes = x.samples, contents(x, np.arange(len(x)))
    columns: dict[str, Any] = {"ids": np.array(list(samples.ids), str), "sizes": samples.sizes}
    if hashes.view(np.uint8).any():
        columns["content"] = np.array([one.tobytes().hex() if one.tobytes().strip(b"\0") else "" for one in hashes])
    for name, column in samples.targets.items():
        if name.endswith("_names"):
            log.warning("target column %r is left out: in a file it would be the class names of another", name)
            continue
        columns[array_name(name)] = column.index
        columns[names_name(name)] = np.array(column.classes, str)
    spans = (slice(start, min(start + PORTION, len(x))) for start in range(0, len(x), PORTION))
    portions = (x.read(span, np.empty((span.stop - span.start, x.dim), kind)) for span in spans)
    write_arrays(path, portions, x.shape, kind, columns)
    return x.shape
