#!/usr/bin/env bash
# Pillow 13.0.0, a grey PNG whose tRNS chunk names one grey as transparent: with 8 bits convert("RGBA") makes that pixel transparent;
# with 2, 4 and 16 bits it stays opaque, without a word, because the pixels are scaled to the mode and the key is not (or is not used).
# One would expect the same picture at every depth. Seen:
#   2 bits: key pixel opaque | 4 bits: key pixel opaque | 8 bits: key pixel transparent | 16 bits: key pixel opaque
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pillow==13.0.0
"$folder/venv/bin/python" - <<'PY'
import io
import struct
import zlib

import PIL
from PIL import Image


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(bits: int, row: bytes, key: int) -> bytes:
    header = struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)
    body = chunk(b"tRNS", struct.pack(">H", key)) + chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


rows = {2: (bytes([0b01_10_0000]), 1), 4: (bytes([0x5A]), 5), 8: (bytes([5, 10]), 5), 16: (struct.pack(">2H", 500, 900), 500)}
opaque = {}
for bits, (row, key) in rows.items():
    image = Image.open(io.BytesIO(png(bits, row, key)))
    opaque[bits] = [pixel[3] for pixel in image.convert("RGBA").get_flattened_data()] == [255, 255]
    print(f"Pillow {PIL.__version__}, {bits} bits, mode {image.mode}: key pixel {'opaque' if opaque[bits] else 'transparent'}")
assert opaque == {2: True, 4: True, 8: False, 16: True}, "the behaviour has changed"
PY
