"""ImageNet-1k and the test sets that share its classes: V2, Sketch, A and R, in class folders named by WordNet id.

The classes of the column `label` are those that a test set covers, all 1000 or the 200 of A and of R: they are the mask
of a head of 1000 classes. `imagenet_classes.csv` has them, from TjuJianyu/RRL src/datasets.py.
"""

import csv
from pathlib import Path

from extract.datasets.common import Images, file_images, need
from extract.datasets.walk import folders, image_files, short
from store.errors import BadValue
from store.samples import Targets

PLACES = {
    ("imagenet", "train"): ("train",),
    ("imagenet", "val"): ("val",),
    ("imagenetv2", "test"): ("imagenetv2-matched-frequency-format-val", "imagenetv2-matched-frequency", ""),
    ("imagenetv2", "test_threshold"): ("imagenetv2-threshold0.7-format-val", "imagenetv2-threshold0.7"),
    ("imagenetv2", "test_top"): ("imagenetv2-top-images-format-val", "imagenetv2-top-images"),
    ("imagenet-sketch", "test"): ("sketch", ""),
    ("imagenet-a", "test"): ("imagenet-a", ""),
    ("imagenet-r", "test"): ("imagenet-r", ""),
}
"""Where a split lies below the dataset's folder: as its archive unpacks, or without that folder."""
COVERED = {"imagenet-a": "in_a", "imagenet-r": "in_r"}
HOW = {
    "imagenet": "Log in at https://image-net.org, fetch ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, and make "
    "train/WNID/*.JPEG and val/WNID/*.JPEG of them, as torchvision.datasets.ImageNet does",
    "imagenetv2": "Unpack {}.tar.gz of https://huggingface.co/datasets/vaishaal/ImageNetV2",
    "imagenet-sketch": "Unpack ImageNet-Sketch.zip of https://github.com/HaohanWang/ImageNet-Sketch",
    "imagenet-a": "Unpack imagenet-a.tar of https://github.com/hendrycks/natural-adv-examples",
    "imagenet-r": "Unpack imagenet-r.tar of https://github.com/hendrycks/imagenet-r",
}


def open_split(dataset: str, split: str, path: Path) -> Images:
    top = _top(dataset, split, path)
    classes = class_names(dataset)
    found = folders(top)
    numbered = dataset == "imagenetv2" and any(name.isdecimal() for name in found)  # its folders are 0 to 999
    known = {str(i): name for i, name in enumerate(classes)} if numbered else {name: name for name in classes}
    if not found:
        raise BadValue(f"{top} has no class folders. {_how(dataset, split)}")
    unknown = [name for name in found if name not in known]
    if unknown:
        raise BadValue(f"{top}: {short(unknown)}: no class of {dataset}; its folders are like {next(iter(known))}")
    files = [(file, known[name]) for name, below in image_files(top, found).items() for file in below]
    label = Targets.from_names("label", [name for _, name in files], classes)
    return file_images(dataset, split, top, [file for file, _ in files], [label])


def class_names(dataset: str) -> tuple[str, ...]:
    """WordNet ids of the classes that a dataset covers, in ImageNet's order."""
    with Path(__file__).with_name("imagenet_classes.csv").open(newline="", encoding="utf-8") as file:
        return tuple(row["wnid"] for row in csv.DictReader(file) if row.get(COVERED.get(dataset, ""), "1") == "1")


def _top(dataset: str, split: str, path: Path) -> Path:
    places = [path / place for place in PLACES[dataset, split]]
    return next((place for place in places if place.is_dir()), None) or need(dataset, places[0], _how(dataset, split))


def _how(dataset: str, split: str) -> str:
    archive = PLACES[dataset, split][0].removesuffix("-format-val")
    return f"{HOW[dataset].format(archive)}, or say where it is: --data-root DIR"
