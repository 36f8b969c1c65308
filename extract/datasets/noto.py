"""A fourth style of emoji: Google's Noto Emoji, black and white, drawn from the font of an npm package."""

import io
from functools import cache
from pathlib import Path

import numpy as np

from extract.datasets.openmoji import SIDE
from extract.weights.archives import open_tar
from store.errors import BadValue

VERSION = "0.4.7"
PACKAGE = "@expo-google-fonts/noto-emoji"
ARCHIVE = f"expo-google-fonts-noto-emoji-{VERSION}.tgz"
FONT = "package/400Regular/NotoEmoji_400Regular.ttf"


def draw_noto(names: tuple[str, ...], path: Path) -> dict[str, np.ndarray]:
    """Pictures (128, 128, 3) uint8 of emoji by their code points, `1F600` or `1F441-FE0F`.

    What the font lacks is left out: it is drawn as the same box as others, or as nothing. Raises `BadValue`: the
    package is not there.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(io.BytesIO(_font(path)), int(SIDE * 0.8))
    found, seen = {}, {np.full((SIDE, SIDE, 3), 255, np.uint8).tobytes()}
    for name in names:
        picture = Image.new("RGB", (SIDE, SIDE), "white")
        text = "".join(chr(int(code, 16)) for code in name.split("-"))
        ImageDraw.Draw(picture).text((SIDE // 2, SIDE // 2), text, font=font, anchor="mm", fill="black")
        pixels = picture.tobytes()
        if pixels not in seen:
            seen.add(pixels)
            found[name] = np.asarray(picture)
    return found


@cache
def _font(path: Path) -> bytes:
    archive = path / ARCHIVE
    if not archive.is_file():
        raise BadValue(
            f"dataset emoji: no {ARCHIVE} in {path}, for the style noto. Fetch it: (cd {path} && npm pack "
            f"{PACKAGE}@{VERSION}); or say where it is: --data-root DIR"
        )
    with open_tar(archive) as tar:
        try:
            return tar.extractfile(FONT).read()  # type: ignore[union-attr]
        except KeyError:
            raise BadValue(f"{archive}: it holds no {FONT}; fetch it again") from None
