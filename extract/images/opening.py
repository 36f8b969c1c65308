"""Bytes to a picture of PIL: of the kinds named here, within a size, and without what surrounds its pixels."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from store.errors import BadImage

Image.init()
KINDS = tuple(
    kind for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM") if kind in Image.OPEN
)
"""Pillow's names of what is read, by content and not by suffix. Its other readers are never called: some of them start
programs (EPS), and none is a format of datasets. A JPEG may turn out to be an MPO: its first picture counts."""
MAX_PIXELS = 2 * 89_478_485
"""Above it Pillow refuses a picture as a decompression bomb; below it nothing is said."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UNUSED = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"})
"""PNG chunks that no pixel depends on here. Pillow unpacks them, and refuses a picture that has more than a few MB."""
_FORMATS = {2: "signed", 3: "float", 5: "complex", 6: "complex float"}
"""TIFF's SampleFormat."""
BITS, COMPRESSION, PHOTOMETRIC, MAX_SAMPLE, PLANES, COLOURS, SAMPLE_FORMAT = 258, 259, 262, 281, 284, 320, 339
RAW, SEPARATE = (1,), (2,)
"""No compression; a plane for each colour, one after the other."""

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # half of what is refused


@contextmanager
def told_as_bad() -> Iterator[None]:
    """Whatever Pillow raises for a damaged file becomes `BadImage`: its readers are many, and so are their errors."""
    try:
        yield
    except BadImage:
        raise
    except Image.DecompressionBombError as error:
        raise BadImage(f"more than {MAX_PIXELS} pixels: cut the picture up, or make it smaller") from error
    except Exception as error:
        raise BadImage(f"{type(error).__name__}: {error}") from error


def open_picture(data: bytes) -> Image.Image:
    """The picture of a file, its pixels not decoded yet. Raises `BadImage`: none of `KINDS`, too large, or broken."""
    if data.startswith(PNG_SIGNATURE):
        data = _without_text(data)
    with told_as_bad():
        try:
            image = Image.open(io.BytesIO(data), formats=KINDS)
        except UnidentifiedImageError as error:
            raise BadImage(_what_it_is(data)) from error
        if image.format == "TIFF":
            _check_samples(image.tag_v2)  # type: ignore[attr-defined]
        elif image.format == "PNG" and isinstance(image.info.get("transparency"), int | tuple):
            image.info["transparency"] = _as_decoded(image.info["transparency"], image.mode, bits=data[24])
        return image


def load(image: Image.Image) -> None:
    """Decode the pixels. Raises `BadImage`."""
    with told_as_bad():
        image.load()
        colours = image.tag_v2.get(COLOURS) if image.format == "TIFF" else None  # type: ignore[attr-defined]
        if colours and image.mode in ("P", "PA") and max(colours) < 256:
            image.putpalette(bytes(colours), "RGB;L")  # where they should be 16 bits: Pillow makes black of it


def _without_text(data: bytes) -> bytes:
    """A PNG without the chunks in `_UNUSED`; as it is where there are none, or where it breaks off."""
    kept, start = [data[:8]], 8
    while start + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        if kind not in _UNUSED:
            kept.append(data[start : start + 12 + length])
        start += 12 + length
    return b"".join(kept) if sum(map(len, kept)) < len(data) else data


def _check_samples(tags: TiffImagePlugin.ImageFileDirectory_v2) -> None:
    """Raise `BadImage` for samples that 8 bits cannot show without a choice of the range: that choice is the user's."""
    bits, formats = numbers(tags, BITS), numbers(tags, SAMPLE_FORMAT)
    kind = next((_FORMATS[number] for number in formats if number in _FORMATS), "")
    if kind or max(bits, default=1) > 16:
        raise BadImage(_refused(f"{max(bits, default=1)}-bit {kind}".strip()))
    if len(bits) > 1 and most_sample(tags):
        raise BadImage(_refused(f"{most_sample(tags).bit_length()}-bit colour"))
    if max(bits, default=1) > 8 and numbers(tags, PLANES) == SEPARATE and numbers(tags, COMPRESSION) in (RAW, ()):
        raise BadImage("a TIFF with 16-bit colours in planes, which Pillow mixes up: make it a PNG")


def most_sample(tags: TiffImagePlugin.ImageFileDirectory_v2) -> int:
    """What white is, where a file says that it is less than its 16 bits can hold, else 0."""
    bits, most = numbers(tags, BITS), next(iter(numbers(tags, MAX_SAMPLE)), 0)
    if bits == (12,):
        return 4095
    said = 255 < most < 65535 and not most & (most + 1)  # 2^n - 1: a depth, and not this picture's largest value
    return most if said and max(bits, default=1) == 16 else 0


def refuse_float() -> None:
    raise BadImage(_refused("32-bit float"))


def _refused(kind: str) -> str:
    return f"{kind} picture: convert it to 8 or 16 bits, unsigned, with the range of values that you want to see"


def numbers(tags: TiffImagePlugin.ImageFileDirectory_v2, tag: int) -> tuple[int, ...]:
    """The whole numbers of a tag; none where it is not there."""
    value = tags.get(tag, ())
    return tuple(number for number in (value if isinstance(value, tuple) else (value,)) if isinstance(number, int))


def _as_decoded(key: "int | tuple[int, ...]", mode: str, bits: int) -> "int | tuple[int, ...]":
    """The grey or colour that is transparent, in the units of the decoded pixels; Pillow leaves it in the file's."""
    if isinstance(key, tuple):
        return tuple(value >> 8 for value in key) if bits == 16 else key
    return key * 255 // (2**bits - 1) if mode == "L" and bits in (2, 4) else key


def _what_it_is(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if data[:4] in TiffImagePlugin.PREFIXES:
        with told_as_bad():
            file = io.BytesIO(data)
            tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(16 if b"+" in data[2:4] else 8))
            file.seek(tags.next)
            tags.load(file)
            _check_samples(tags)
            kind = f"bits {numbers(tags, BITS)}, photometric {tags.get(PHOTOMETRIC)}"
            return f"a TIFF of a kind that is not read: {kind}; make it a PNG"
    return f"not an image of {', '.join(KINDS)}, or a broken one: it begins with {data[:16]!r}"
