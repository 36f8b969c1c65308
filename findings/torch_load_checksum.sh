#!/usr/bin/env bash
# torch 2.14.1, torch.load of a file of torch.save: one flipped bit inside a tensor's bytes loads without a word, also with
# weights_only=True and with mmap=True. One would have sworn that it is refused: the file is a zip archive, torch.save writes the CRC-32 of
# every member, and Python's zipfile says which member is damaged.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.14.1 numpy
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import struct
import zipfile
from pathlib import Path

import torch

file = Path("weights.pt")
torch.save({"w": torch.arange(1000.0)}, file)
whole = bytearray(file.read_bytes())
at = whole.index(struct.pack("<3f", 500, 501, 502))
whole[at + 2] ^= 32
file.write_bytes(whole)
for options in ({}, {"weights_only": True}, {"weights_only": True, "mmap": True}):
    found = torch.load(file, **options)["w"][500].item()
    print(f"torch {torch.__version__}, torch.load{options or ''}: w[500] is {found}, was 500.0")
    assert found != 500, "the behaviour has changed"
with zipfile.ZipFile(file) as archive:
    print("zipfile: the damaged member is", archive.testzip())
    assert archive.testzip() is not None
PY
