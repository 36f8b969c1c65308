"""Small image files, byte by byte: what no library writes, or none writes on purpose."""

import struct
import zlib
from collections.abc import Sequence


def tiff(
    pixels: bytes,
    width: int,
    bits: Sequence[int] = (8,),
    *,
    sample_format: int | None = None,
    photometric: int = 1,
    order: str = "<",
    more: Sequence[tuple[int, list[int]]] = (),
) -> bytes:
    """One row of `width` pixels; `more` are further tags of 16-bit numbers."""
    tags = {256: [width], 257: [1], 258: list(bits), 259: [1], 262: [photometric], 273: [8], 277: [len(bits)],
            278: [1], 279: [len(pixels)]} | dict(more)  # fmt: skip
    if sample_format is not None:
        tags[339] = [sample_format] * len(bits)
    pixels += b"\0" * (len(pixels) % 2)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", 8 + len(pixels)) + pixels
    at, entries, values = len(head) + 6 + 12 * len(tags), b"", b""
    for tag, numbers in sorted(tags.items()):
        data = struct.pack(f"{order}{len(numbers)}H", *numbers)
        there = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(f"{order}L", at + len(values))
        values += data if len(data) > 4 else b""
        entries += struct.pack(f"{order}HHL", tag, 3, len(numbers)) + there
    return head + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + values


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(row: bytes, width: int, depth: int, colour: int = 0, before: bytes = b"", height: int = 1) -> bytes:
    """One row of pixels (`height` is only what the header says); colour 0 is grey, 2 RGB; `before` are chunks."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before
        + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    )  # fmt: skip
