"""Which column of a file names the images. Row numbers only where nothing else could, or where they are asked for."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from store.errors import BadValue, UnknownName
from store.foreign import OTHER, TEXT, Column
from store.foreign_files import NAMES_FILE
from store.values import as_texts, one_each

IDS = (
    "ids", "id", "paths", "path", "image_paths", "image_path", "img_paths", "img_path", "filenames", "filename",
    "file_names", "file_name", "filepaths", "filepath", "file_paths", "file_path", "files", "file",
    "image_ids", "image_id", "sample_ids", "sample_id", "image_names", "image_name", "image.path",
    "keys", "key", "names", "name",
)  # fmt: skip
"""What others call our arrays; the first that fits is taken."""
"""What others call the column, the surest first."""
OF_CLASSES = ("keys", "key", "names", "name")
"""Of these, names that a column of classes may have too: where they repeat, they are no ids."""
NO_IDS = "none"
"""`--ids none`: the rows have no names but their numbers."""


def id_column(
    path: Path, columns: Mapping[str, Column], count: int, asked: str | None, splits: np.ndarray | None
) -> tuple[str | None, list[str]]:
    """The column of the ids, None for row numbers; and other columns of text.

    Raises `BadValue`: it is not clear; `UnknownName`: there is none of the name that was asked for.
    """
    if asked == NO_IDS:
        return None, []
    if asked is not None and asked not in columns:
        raise UnknownName("column", asked, columns, f"--ids names a column of {path.name}, or is {NO_IDS}")
    known = [name for name in IDS if name in columns and _could_be(name, columns[name], count)]
    texts = [name for name in columns if columns[name].kind == TEXT and _could_be(name, columns[name], count)]
    distinct = [name for name in {**dict.fromkeys(known), **dict.fromkeys(texts)}
                if _is_distinct(path, name, columns[name], count, splits)]  # fmt: skip
    sure = [name for name in known if name in distinct] or [name for name in known if name not in OF_CLASSES]
    if asked is None and IDS[0] in columns:
        asked = IDS[0]
    chosen = asked or (sure[0] if sure else None)
    if chosen is None and distinct:
        raise BadValue(
            f"{path}: which column names the images? --ids {distinct[0]}"
            + (f" (or {', '.join(distinct[1:4])})" if distinct[1:] else "")
            + f", or --ids {NO_IDS} for row numbers, which join nothing else"
        )
    return chosen, [name for name in distinct if name != chosen]


def id_texts(path: Path, name: str, column: Column, count: int, splits: np.ndarray | None) -> list[str]:
    """The ids. Raises `BadValue`: a row has none, or two rows of a split have the same."""
    beside = path.with_name(NAMES_FILE)
    if name == "file_names" and column.shape != (count,) and beside.is_file():
        raise BadValue(f"{beside} has {column.shape[0]} lines, but {path.name} has {count} rows; or --ids {NO_IDS}")
    seen = dict[tuple[str, str], int]()
    texts = as_texts(path, name, one_each(path, name, column, count))
    for row, text in enumerate(texts):
        if not text:
            raise BadValue(f"{path}: row {row} has no {name}; every image needs its id, or --ids {NO_IDS}")
        before = seen.setdefault(("" if splits is None else str(splits[row]), text), row)
        if before != row:
            raise BadValue(
                f"{path}: sample id {text!r} occurs twice, in rows {before} and {row} of {name}: one row an image, or "
                f"another column by --ids; --ids {NO_IDS} takes row numbers, which join nothing else"
            )
    return [str(text) for text in texts]


def _could_be(name: str, column: Column, count: int) -> bool:
    return name == "file_names" or (column.kind != OTHER and column.shape in ((count,), (count, 1)))


def _is_distinct(path: Path, name: str, column: Column, count: int, splits: np.ndarray | None) -> bool:
    if column.shape not in ((count,), (count, 1)):  # file_names.txt of other rows
        return True
    try:
        values = as_texts(path, name, one_each(path, name, column, count))
    except BadValue:  # fractions, or bytes that are no text
        return False
    distinct = set(values) if splits is None else set(zip(splits.tolist(), values, strict=True))
    return len(distinct) == count and not {None, ""} & set(values)
