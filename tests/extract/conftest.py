"""A web server on loopback that misbehaves as told; small networks that are trained once for all tests; pictures."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from extract.config import ExtractConfig


@dataclass
class Site:
    """What the server has, and how it answers."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    """Whether it answers a request for a range with that range."""
    drop_after: list[int] = field(default_factory=list)
    """Bytes after which it closes the connection: one number an answer, then no more."""
    says_size: bool = True
    status: list[int] = field(default_factory=list)
    """Codes to answer with, one a request, before it behaves."""
    asked: list[str] = field(default_factory=list)
    """Range headers of the requests so far."""


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def do_GET(self) -> None:
        site = self.server.site
        site.asked.append(self.headers.get("Range", ""))
        content = site.files.get(self.path)
        if site.status or content is None:
            self.send_error(site.status.pop(0) if site.status else 404)
            return
        etag, start = f'"{hashlib.sha256(content).hexdigest()[:8]}"', 0
        if site.ranges and "Range" in self.headers and self.headers.get("If-Range", etag) == etag:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("ETag", etag)
        if site.says_size:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        limit = site.drop_after.pop(0) if site.drop_after else len(content)
        self.wfile.write(content[start : start + limit])

    def log_message(self, *_args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    site: Site


@pytest.fixture
def site() -> Iterator[Site]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.site = Site(url=f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.site
        server.shutdown()
        thread.join()


def train_flags(folder: Path, *more: str) -> list[str]:
    """A Conv4 of 16 filters on the digits at 16 px, with random crops; backbones in folder/b, the store in folder/s."""
    return [
        "--arch", "conv4w0.25", "--dataset", "digits", "--recipe", "small", "--images", "pixels_16", "--workers", "2",
        "--epochs", "2", "--backbones", str(folder / "b"), "--store", str(folder / "s"), *more,
    ]  # fmt: skip


@pytest.fixture(scope="session")
def small_nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a-s0 and a-s1, each with a snapshot a-s0@e1."""
    from extract.pretrain import main

    folder = tmp_path_factory.mktemp("small_nets")
    assert main(train_flags(folder, "--seed", "0,1", "--name", "a", "--snapshots", "2", "--schedule", "cyclic")) == 0
    return folder


NET = "random:conv4"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 training and 10 test images of two classes."""
    top, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 5)):
        for name in ("cat", "dog"):
            (top / split / name).mkdir(parents=True)
            for i in range(count):
                noise = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
                Image.fromarray(noise).resize((60, 45)).save(top / split / name / f"{i:02d}.jpg")
    return top


def config(pictures: Path, store: Path, **options: object) -> ExtractConfig:
    settings = {"backbone": ("pixels",), "split": ("train",), "block_rows": 16, "batch_size": 4, "workers": 2}
    return ExtractConfig(dataset=(f"folder:{pictures}",), store=str(store), **(settings | options))  # type: ignore[arg-type]


def stored_bytes(store: Path) -> dict[str, bytes]:
    """Every block and column of the store; manifests and records hold dates."""
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("c.*") if path.is_file()}
