"""iNaturalist 2018: 8142 species, listed in train2018.json and val2018.json.

Labels are the sorted directories of the training images and not the lists' category ids: as TjuJianyu/RRL
src/datasets.py numbers them.
"""

from pathlib import Path

from extract.datasets.common import Images, file_images, need
from store.errors import BadValue, UnknownName
from store.json_text import parse_json
from store.samples import Targets

HOW = (
    "Fetch train_val2018.tar.gz (120 GB), train2018.json.tar.gz and val2018.json.tar.gz of "
    "https://github.com/visipedia/inat_comp/tree/master/2018 and unpack them there, or say where it is: --data-root DIR"
)


def open_split(dataset: str, split: str, path: Path) -> Images:
    train = _files(dataset, path / "train2018.json")
    ids = train if split == "train" else _files(dataset, path / f"{split}2018.json")
    classes = sorted({_directory(name) for name in train})
    directories = [_directory(name) for name in ids]
    try:
        label = Targets.from_names("label", directories, classes)
    except UnknownName as error:
        raise BadValue(f"{path / f'{split}2018.json'}: train2018.json has not all of its classes: {error}") from error
    groups = Targets.from_names("supercategory", [name.split("/")[1] for name in directories],
                                sorted({name.split("/")[1] for name in classes}))  # fmt: skip
    return file_images(dataset, split, path, ids, [label, groups])


def _files(dataset: str, file: Path) -> list[str]:
    """The images of a list, train_val2018/SUPERCATEGORY/CATEGORY/NAME.jpg, in its order."""
    need(dataset, file, HOW)
    try:
        names = [image["file_name"] for image in parse_json(file.read_bytes())["images"]]
        wrong = next((name for name in names if name.count("/") < 3), None)
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadValue(f"{file} is not a list of iNaturalist: {type(error).__name__} {error}") from error
    if wrong is not None:
        raise BadValue(f"{file}: {wrong!r} is not train_val2018/SUPERCATEGORY/CATEGORY/NAME.jpg")
    return names


def _directory(name: str) -> str:
    return name.rpartition("/")[0]
