#!/usr/bin/env bash
# Pillow 13.0.0, an uncompressed RGB TIFF of 16 bits whose colours lie in planes (PlanarConfiguration 2): the planes are read as if they
# were of 8 bits, so that the picture is another one, without a word; the same picture compressed (zlib) comes out right.
# One would expect the high bytes, 0 4 8 12 ..., in both. Seen:
#   raw: red begins [0, 0, 16, 4, 32, 8, 48, 12] | zlib: red begins [0, 4, 8, 12, 16, 20, 24, 28]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3
"$folder/venv/bin/python" - <<'PY'
import io

import numpy as np
import PIL
import tifffile
from PIL import Image

grey = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
planes, red = np.stack([grey, grey[::-1], grey.T]), {}
for name in ("raw", "zlib"):
    file = io.BytesIO()
    more = {} if name == "raw" else {"compression": "zlib"}
    tifffile.imwrite(file, planes, photometric="rgb", planarconfig="separate", **more)
    file.seek(0)
    red[name] = np.asarray(Image.open(file))[0, :, 0].tolist()
    print(f"Pillow {PIL.__version__}, {name}: red begins {red[name]}")
right = (grey[0] >> 8).tolist()
assert red["zlib"] == right and red["raw"] != right, "the behaviour has changed"
PY
