"""Which files are read at all, and what is said of the others."""

import io
import random
import struct
import zlib

import pytest
from PIL import Image, features

from extract.images.decoding import decode
from extract.images.opening import KINDS, MAX_PIXELS
from store.errors import BadImage
from tests.extract.images.made_files import chunk, png

GREY = png(bytes([0, 85, 170, 255]), 4, 8)


def test_other_kinds_are_not_opened_whatever_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("opened")

    for kind, (_, accept) in list(Image.OPEN.items()):
        if kind not in KINDS:
            monkeypatch.setitem(Image.OPEN, kind, (never, accept))
    dds = b"DDS " + struct.pack("<8I", 124, 0x1007, 24, 24, 0, 0, 1, 0) + b"ZZZZ" + bytes(700)
    for data in (dds, b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xd7\xcd\xc6\x9a" + bytes(90), b"BLP1" + bytes(90), b"8BPS"):
        with pytest.raises(BadImage, match=r"not an image of JPEG, PNG, .*, or a broken one: it begins with b"):
            decode(data)


def test_metadata_of_any_size_does_not_matter() -> None:
    packed = zlib.compress(bytes(3_000_000))
    texts = [(b"iTXt", b"k\0\1\0\0\0" + packed), (b"zTXt", b"k\0\0" + packed), (b"iCCP", b"x\0\0" + packed)]
    much = b"".join(chunk(*text) for text in [*texts, *[(b"tEXt", b"k\0" + bytes(1_000_000))] * 66])
    data = png(bytes([0, 85, 170, 255]), 4, 8, before=much)
    assert decode(data).equal(decode(GREY))
    with pytest.raises(BadImage):
        decode(data[: len(much)])
    segment = b"\xff\xe1" + struct.pack(">H", 65535) + b"Exif\0\0" + bytes(65527)
    file = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(file, "JPEG")
    jpeg = file.getvalue()
    assert decode(jpeg[:2] + segment * 40 + jpeg[2:]).equal(decode(jpeg))


@pytest.mark.parametrize("side", [13378, 16000, 60000])
def test_too_many_pixels_are_refused_before_any_is_decoded(side: int) -> None:
    for data in (png(b"", side, 8, height=side), b"P5 %d %d 255\n" % (side, side)):
        with pytest.raises(BadImage, match=f"more than {MAX_PIXELS} pixels: cut the picture up"):
            decode(data)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_as_many_pixels_as_pillow_reads_are_no_bomb() -> None:
    with pytest.raises(BadImage, match=r"truncated|unexpected end|not enough"):
        decode(b"P5 13000 13000 255\n")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("PPM", "JPEG2000")])
def test_a_damaged_file_is_a_bad_image_and_nothing_else(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    file, rng = io.BytesIO(), random.Random(kind)
    Image.effect_noise((24, 24), 60).convert("RGB").save(file, kind)
    whole, bad = file.getvalue(), 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            assert decode(bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])).shape[0] == 3
        except BadImage:
            bad += 1
    assert bad > 20
