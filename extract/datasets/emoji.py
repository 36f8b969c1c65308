"""The same emoji in three styles: Google's and Twitter's pictures from npm, OpenMoji drawn from its font.

The style is a group. Split by emoji, never by picture, with the hash of its code points: what is unseen in one style
is unseen in all. train_google and its kind are one style of a split; noto, black and white, is in such parts alone:
train_noto, val_noto, test_noto.
"""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from extract.datasets import openmoji
from extract.datasets.common import Images, hashed_split
from extract.datasets.noto import VERSION as NOTO_VERSION
from extract.datasets.noto import draw_noto
from extract.weights.archives import open_tar
from store.errors import BadValue
from store.samples import Samples, Targets

VERSION = "16.0.0"
STYLES = ("google", "twitter", "openmoji")
NOTO = "noto"
MAX_BYTES = 1 << 24
"""Of one file in a package: pictures are a few KB, emoji.json is 1.5 MB."""


class Package(NamedTuple):
    version: str
    rows: list[dict[str, str]]
    pictures: dict[str, bytes]
    """File name -> PNG of 64x64 pixels."""


class Emoji(NamedTuple):
    sample: str
    style: str
    name: str
    category: str
    subcategory: str
    data: "bytes | np.ndarray"


def open_split(dataset: str, split: str, path: Path) -> Images:
    part, _, style = split.partition("_")
    every = _emoji(path)
    styles = (*STYLES, NOTO) if style == NOTO else STYLES
    if style == NOTO:
        every = _in_noto(every, path)
    chosen = [row for row in every if hashed_split(row.name) == part and style in ("", row.style)]
    targets = {
        column: Targets.from_names(column, [getattr(row, field) for row in chosen],
                                   sorted({getattr(row, field) for row in every}))
        for column, field in (("label", "category"), ("subcategory", "subcategory"), ("emoji", "name"))
    }  # fmt: skip
    targets["style"] = Targets.from_names("style", [row.style for row in chosen], styles)
    sizes = np.array([row.data.nbytes if isinstance(row.data, np.ndarray) else len(row.data) for row in chosen])
    samples = Samples(dataset, split, [row.sample for row in chosen], sizes, targets)
    return Images(samples, lambda row: chosen[row].data)


def _emoji(path: Path) -> list[Emoji]:
    """Every style of the emoji that all styles have, style by style, in the order of Google's list."""
    packages = {style: find_package(style, path) for style in STYLES[:2]}
    drawn = {sample.rpartition("/")[2]: (sample, picture) for sample, _, _, picture in openmoji.draw()}
    found = []
    data: bytes | np.ndarray
    for style in STYLES:
        for row in packages["google"].rows:
            image = row["image"]
            if row["unified"] not in drawn or any(image not in package.pictures for package in packages.values()):
                continue
            if style == "openmoji":
                sample, data = drawn[row["unified"]]
            else:
                sample, data = f"{style}-{packages[style].version}/{image}", packages[style].pictures[image]
            found.append(Emoji(sample, style, row["unified"], row["category"], row["subcategory"], data))
    return found


def _in_noto(every: list[Emoji], path: Path) -> list[Emoji]:
    """The same emoji, each once, as Noto Emoji draws it."""
    drawn = draw_noto(tuple(dict.fromkeys(row.name for row in every)), path)
    return [
        row._replace(sample=f"noto-{NOTO_VERSION}/{row.name}", style=NOTO, data=drawn[row.name])
        for row in every
        if row.style == STYLES[0] and row.name in drawn
    ]


def find_package(style: str, path: Path) -> Package:
    """The npm package of a style below `path`, as `npm pack` or `npm install` leaves it. Raises `BadValue`."""
    name = f"emoji-datasource-{style}"
    archive = path / f"{name}-{VERSION}.tgz"
    if archive.is_file():
        return _read_archive(archive, style)
    for folder in (path / name, path / "node_modules" / name):
        if folder.is_dir():
            return _read_folder(folder, style)
    raise BadValue(
        f"dataset emoji: no {archive.name} in {path}. Fetch it with npm: --download; or (cd {path} && npm pack "
        f"{name}@{VERSION}); or say where it is: --data-root DIR"
    )


@cache
def _read_archive(archive: Path, style: str) -> Package:
    """Nothing is unpacked: the files that are wanted are read out of the archive."""
    files = dict[str, bytes]()
    with open_tar(archive) as tar:
        for member in tar:
            name = member.name.removeprefix("package/")
            if member.isreg() and (name in ("emoji.json", "package.json") or _is_picture(name, style)):
                if member.size > MAX_BYTES:
                    raise BadValue(f"{archive}: {member.name} says it has {member.size} bytes")
                files[name] = tar.extractfile(member).read()  # type: ignore[union-attr]
    return _package(archive, files)


@cache
def _read_folder(folder: Path, style: str) -> Package:
    wanted = [folder / "emoji.json", folder / "package.json", *(folder / "img" / style / "64").glob("*.png")]
    files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in wanted if file.is_file()}
    return _package(folder, files)


def _is_picture(name: str, style: str) -> bool:
    return name.startswith(f"img/{style}/64/") and name.endswith(".png")


def _package(where: Path, files: dict[str, bytes]) -> Package:
    try:
        rows = [row for row in json.loads(files["emoji.json"]) if row["category"] not in openmoji.SKIPPED]
        version = json.loads(files["package.json"])["version"]
        rows = [{key: row[key] for key in ("unified", "image", "category", "subcategory")} for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise BadValue(f"{where} is not the npm package of emoji: {type(error).__name__} {error}") from error
    return Package(version, rows, {name.rpartition("/")[2]: data for name, data in files.items() if "/" in name})
