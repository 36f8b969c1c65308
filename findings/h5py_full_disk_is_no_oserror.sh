#!/usr/bin/env bash
# h5py 3.16.0: an HDF5 file that outgrows what the disk takes. One would catch OSError, as with every other file, where a row is written.
# By its path, the write does raise OSError, but leaving h5py's own `with` block closes the file, and the RuntimeError of that, without an
# errno, is what arrives outside. Given an open Python file instead, the OSError arrives on Python 3.11; on 3.13 a
# SystemError arrives in its place. Seen:
#   Python 3.11, path: OSError in the block, RuntimeError outside, errno None
#   Python 3.11, open file: OSError in the block, OSError outside, errno 27
#   Python 3.13, path: OSError in the block, RuntimeError outside, errno None
#   Python 3.13, open file: OSError in the block, SystemError outside, errno None
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check h5py==3.16.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import resource
import signal
import sys

import h5py
import numpy as np

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write beyond the limit is an error with an errno, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
version, found = f"Python {sys.version_info[0]}.{sys.version_info[1]}", {}
for name in ("path", "open file"):
    inside = outside = None
    try:
        with open("full.h5", "wb+") as handle, h5py.File(handle.name if name == "path" else handle, "w") as file:
            data = file.create_dataset("features", (3000, 64), "f4")
            for start in range(0, 3000, 1000):
                try:
                    data[start : start + 1000] = np.ones((1000, 64), np.float32)
                except Exception as caught:
                    inside = caught
                    raise
    except Exception as caught:
        outside = caught
    found[name] = type(inside).__name__, type(outside).__name__, getattr(outside, "errno", None)
    print(f"h5py {h5py.__version__}, {version}, {name}: {found[name][0]} in the block, {found[name][1]} outside, "
          f"errno {found[name][2]}")
assert found["path"] == ("OSError", "RuntimeError", None), "the behaviour has changed"
late = ("OSError", "SystemError", None)
assert found["open file"] == (("OSError", "OSError", 27) if sys.version_info < (3, 13) else late), "it has changed"
PY
