"""CUB-200-2011: 200 kinds of birds, of which every second is base, and of the others one is validation, one novel.

The split is wyharveychen/CloserLookFewShot filelists/CUB/write_CUB_filelist.py: of the sorted class folders, numbered
from 0, i % 2 == 0 is base, i % 4 == 1 val, i % 4 == 3 novel. The number is that in the folder's name, less one.
"""

from pathlib import Path

from extract.datasets.common import Images, file_images, need
from extract.datasets.walk import folders, image_files
from store.errors import BadValue
from store.samples import Targets

FOLDER = "CUB_200_2011/images"
HOW = (
    "Unpack CUB_200_2011.tgz (1.1 GB) of https://data.caltech.edu/records/65de6-vp158 there, or say where it is: "
    "--data-root DIR"
)


def open_split(dataset: str, split: str, path: Path) -> Images:
    top = need(dataset, path / FOLDER, HOW)
    classes = folders(top)
    for i, name in enumerate(classes):
        if name.partition(".")[0] != f"{i + 1:03d}":
            raise BadValue(f"{top}: the class folder {i + 1:03d}.NAME is missing, {name!r} is in its place")
    chosen = [name for i, name in enumerate(classes) if part(i) == split]
    files = [(file, name) for name, below in image_files(top, chosen).items() for file in below]
    label = Targets.from_names("label", [name for _, name in files], classes)
    return file_images(dataset, split, top, [file for file, _ in files], [label])


def part(number: int) -> str:
    """base, val or novel, of the class with this number from 0."""
    if number % 2 == 0:
        return "base"
    return "val" if number % 4 == 1 else "novel"
