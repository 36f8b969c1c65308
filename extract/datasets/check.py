"""What is missing or too many in a folder of images: `python -m extract.download --check DATASET`."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from extract.datasets import default_data_root, find_dataset, open_dataset, splits_of
from extract.datasets.common import Images
from extract.datasets.walk import image_files, short
from store.errors import UserError


def check(dataset: str, data_root: str | Path | None = None) -> list[str]:
    """One text for each thing that is missing, damaged or extra; none: the dataset is as it was published.

    Opens no image. Raises: UnknownName.
    """
    spec, place = find_dataset(dataset, data_root)
    missing = [f"the package {name} is not installed" for name in spec.packages if find_spec(name) is None]
    if missing:
        return [f"{dataset}: {text}; {spec.source}" for text in missing]
    found = [text for file, md5 in spec.md5.items() for text in _checksum(place / file, md5)]
    opened: list[Images] = []
    try:
        splits = splits_of(dataset, data_root)
    except UserError as error:
        return [*found, str(error)]
    for split in splits:
        try:
            opened.append(open_dataset(dataset, split, data_root, allow_absent=True))
        except UserError as error:
            found.append(str(error))
        else:
            found += _counts(dataset, split, opened[-1], spec.sizes.get(split))
    found = list(dict.fromkeys(found))  # what all splits lack is said once
    return found + list(_extra(opened)) if len(opened) == len(splits) else found


def _checksum(file: Path, md5: str) -> Iterator[str]:
    if file.is_file():
        with file.open("rb") as opened:
            actual = hashlib.file_digest(opened, "md5").hexdigest()
        if actual != md5:
            yield f"{file}: its md5 is {actual}, that published is {md5}; fetch it again"


def _counts(dataset: str, split: str, images: Images, published: int | None) -> Iterator[str]:
    count, ids = len(images.samples), images.samples.ids
    if images.absent:
        names = short([ids[row] for row in images.absent], 3)
        yield f"{dataset}/{split}: {len(images.absent)} of {count} images are missing below {images.top}: {names}"
    if published is not None and count != published:
        yield f"{dataset}/{split}: {count} images, {published} were published"
    absent = set(images.absent)
    empty = [ids[row] for row, size in enumerate(images.samples.sizes) if size == 0 and row not in absent]
    if empty:
        yield f"{dataset}/{split}: {len(empty)} files are empty: {short(empty, 3)}"


def _extra(opened: Sequence[Images]) -> Iterator[str]:
    """Image files that lie among those of the dataset, but belong to no split."""
    tops = {images.top for images in opened if images.top is not None}
    for top in sorted(tops):
        known = {sample for images in opened if images.top == top for sample in images.samples.ids}
        extra = [file for file in image_files(top, [""])[""] if file not in known]
        if extra:
            yield f"{top}: {len(extra)} images belong to no split: {short(extra, 3)}"


def report(datasets: Sequence[str], data_root: str | None, *, as_json: bool = False) -> int:
    """Print what `check` finds in each; 1 if it is anything."""
    rows = [{"dataset": name, "findings": check(name, data_root or default_data_root())} for name in datasets]
    lines = [line for row in rows for line in row["findings"] or [f"{row['dataset']} is complete"]]
    print(json.dumps(rows, indent=1) if as_json else "\n".join(lines))
    return 1 if any(row["findings"] for row in rows) else 0
