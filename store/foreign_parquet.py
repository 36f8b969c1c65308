"""Parquet, of other people and our own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from store.errors import BadValue
from store.foreign import NUMBER, OTHER, TEXT, Column
from store.json_text import parse_json


def parquet_columns(path: Path) -> dict[str, Column]:
    """The columns of a Parquet file; class names that `store export` wrote beside them too."""
    pa = pyarrow()
    file = pa.parquet.ParquetFile(path, page_checksum_verification=True)
    count, columns = file.metadata.num_rows, dict[str, Column]()
    for field in file.schema_arrow:
        if field.name in columns:
            raise BadValue(f"{path}: the column {field.name} occurs twice")
        columns[field.name] = _parquet_column(pa, path, file, field, count)
        if pa.types.is_struct(field.type):  # an image of Hugging Face: bytes and path
            texts = [child.name for child in field.type if pa.types.is_string(child.type)]
            columns |= {f"{field.name}.{name}": _text_inside(pa, file, field.name, name, count) for name in texts}
    for name, texts in _our_names(path, file.schema_arrow.metadata or {}).items():
        columns[name] = Column((len(texts),), TEXT, "text", lambda texts=texts: np.array(texts, object))  # type: ignore[misc]
    return columns


def _our_names(path: Path, metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """The class names that `store export` writes beside the rows."""
    found = parse_json(metadata.get(b"motherlode", b"{}"))
    if not isinstance(found, dict) or not all(
        isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in found.values()
    ):
        raise BadValue(f"{path}: its metadata `motherlode` are not those that store export writes")
    return found


def _parquet_column(pa: Any, path: Path, file: Any, field: Any, count: int) -> Column:
    kind, name, types = field.type, field.name, pa.types

    def read() -> Any:
        return file.read([name]).column(0)

    if isinstance(kind, pa.FixedShapeTensorType):
        shape = (count, *kind.shape)
        return Column(shape, NUMBER, str(kind.value_type), lambda: read().combine_chunks().to_numpy_ndarray())
    if (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)) and _is_number(
        types, kind.value_type
    ):
        dim = kind.list_size if types.is_fixed_size_list(kind) else -1
        return Column((count, dim), NUMBER, str(kind.value_type), lambda: _flat(pa, path, name, read()))
    if types.is_dictionary(kind):
        kind = kind.value_type
    if _is_number(types, kind):
        return Column((count,), NUMBER, str(kind), lambda: _with_nulls(read()))
    texts = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    if any(is_kind(kind) for is_kind in (*texts, types.is_binary, types.is_large_binary)):
        return Column((count,), TEXT, "text", lambda: np.array(read().to_pylist(), object))
    return Column((count,), OTHER, str(kind))


def _text_inside(pa: Any, file: Any, name: str, child: str, count: int) -> Column:
    def read() -> np.ndarray:
        return np.array(pa.compute.struct_field(file.read([f"{name}.{child}"]).column(0), child).to_pylist(), object)

    return Column((count,), TEXT, "text", read)


def _is_number(types: Any, kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _with_nulls(column: Any) -> np.ndarray:
    if column.null_count or "dictionary" in str(column.type):
        return np.array(column.to_pylist(), object)
    return np.asarray(column.to_numpy())


def _flat(pa: Any, path: Path, name: str, column: Any) -> np.ndarray:
    """Lists of D numbers as (N, D)."""
    if not len(column):
        raise BadValue(f"{path} has no rows")
    lengths = np.unique(pa.compute.list_value_length(column).drop_null().to_numpy())
    if column.null_count or len(lengths) != 1:
        raise BadValue(
            f"{path}: the rows of {name} have {lengths.tolist()} values, {column.null_count} have none; features have D"
        )
    return np.asarray(pa.compute.list_flatten(column).to_numpy()).reshape(len(column), -1)


def pyarrow() -> Any:
    """The library, with its Parquet. Raises `BadValue`: it is not installed."""
    try:
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise BadValue("Parquet needs pyarrow: pip install 'motherlode[report]'") from error
    return pyarrow
