#!/usr/bin/env bash
# obstore 0.12.1, S3Store with retry_timeout=180 s, max_retries=10, init_backoff 0.2 s, max_backoff 15 s, base 2: a server that refuses
# the connection may be given up after a few seconds. One would have sworn that the doubling pauses (0.2, 0.4, ... 15 s) add up to
# about 70 s; each is drawn at random. Seen in three tries: given up after 14.6 s, 4.6 s, 3.1 s, "after 10 retries".
# Nothing listens on the port that is asked; nothing leaves this machine.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check obstore==0.12.1
"$folder/venv/bin/python" - <<'PY'
import socket
import time
from datetime import timedelta
from importlib.metadata import version

from obstore.store import S3Store

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
bounds = [min(0.2 * 2**i, 15.0) for i in range(10)]
took = []
for _ in range(3):
    store = S3Store(
        "bucket", endpoint=f"http://127.0.0.1:{port}", access_key_id="a", secret_access_key="b", region="us-east-1",
        client_options={"allow_http": True},
        retry_config={
            "max_retries": 10, "retry_timeout": timedelta(seconds=180),
            "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=15), "base": 2.0},
        },
    )
    start = time.monotonic()
    try:
        store.head("key")
    except Exception as error:
        told = str(error).splitlines()[0][:120]
    took.append(time.monotonic() - start)
print(f"obstore {version('obstore')}: bounds of the pauses add up to {sum(bounds):.0f} s, the timeout is 180 s")
print("given up after", ", ".join(f"{seconds:.1f} s" for seconds in took), "-", told)
assert min(took) < 0.5 * sum(bounds), "the behaviour has changed"
PY
