"""More than 8 bits, signs, inverted greys and palettes: right by a stated rule, or refused by name."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from extract.images import depths
from extract.images.decoding import decode
from store.errors import BadImage
from tests.extract.images.made_files import chunk, png, tiff

GREYS = np.array([0, 16, 4095, 65535], "<u2")
PALETTE = [*range(256), *range(255, -1, -1), *[7] * 256]


def levels(data: bytes) -> list[int]:
    """Of one row of greys."""
    rgb = decode(data)[:, 0]
    assert (rgb == rgb[0]).all()
    return rgb[0].tolist()


@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_of_16_bits_is_divided_by_257(order: str) -> None:
    assert levels(tiff(GREYS.astype(f"{order}u2").tobytes(), 4, [16], order=order)) == [0, 0, 16, 255]
    assert levels(png(GREYS.astype(">u2").tobytes(), 4, 16)) == [0, 0, 16, 255]
    assert levels(b"P5 4 1 65535\n" + GREYS.astype(">u2").tobytes()) == [0, 0, 16, 255]
    assert levels(b"P5 2 1 1000\n" + struct.pack(">2H", 1000, 500)) == [255, 128]


@pytest.mark.parametrize("compression", [None, "tiff_deflate", "tiff_lzw"])
def test_inverted_greys_are_turned_round_at_every_depth(compression: str | None) -> None:
    file = io.BytesIO()
    Image.fromarray(GREYS[None]).save(file, "TIFF", tiffinfo={262: 0}, compression=compression)
    assert levels(file.getvalue()) == [255, 255, 239, 0]
    assert levels(tiff(bytes([0, 1, 200, 255]), 4, photometric=0)) == [255, 254, 55, 0]
    with pytest.raises(
        BadImage, match=r"a TIFF of a kind that is not read: bits \(16,\), photometric 0; make it a PNG"
    ):
        decode(tiff(GREYS.astype(">u2").tobytes(), 4, [16], photometric=0, order=">"))


def test_12_bits_reach_white_where_the_file_says_so() -> None:
    ct = GREYS.clip(0, 4095).tobytes()
    assert levels(tiff(ct, 4, [16], more=[(281, [4095])])) == [0, 1, 255, 255]
    assert levels(tiff(ct, 4, [16], more=[(281, [4095])], photometric=0)) == [255, 254, 0, 0]
    assert levels(tiff(bytes([0, 0, 0x10, 0xFF, 0xF8, 0]), 4, [12])) == [0, 1, 255, 128]
    assert levels(tiff(ct, 4, [16])) == [0, 0, 16, 16]
    assert levels(tiff(ct, 4, [16], more=[(281, [5000])])) == [0, 0, 16, 16]  # the largest value, and no depth


@pytest.mark.parametrize(
    ("bits", "sample_format", "dtype", "name"),
    [
        (32, 3, "<f4", "32-bit float"),
        (64, 3, "<f8", "64-bit float"),
        (16, 3, "<f2", "16-bit float"),
        (16, 2, "<i2", "16-bit signed"),
        (8, 2, "<i1", "8-bit signed"),
        (32, 2, "<i4", "32-bit signed"),
        (32, 1, "<u4", "32-bit"),
        (32, None, "<u4", "32-bit"),
        (64, 1, "<u8", "64-bit"),
    ],
)
@pytest.mark.parametrize("samples", [1, 3])
def test_what_has_no_range_of_its_own_is_refused_by_name(
    bits: int, sample_format: int | None, dtype: str, name: str, samples: int
) -> None:
    pixels = np.arange(4 * samples).astype(dtype).tobytes()
    data = tiff(pixels, 4, [bits] * samples, sample_format=sample_format, photometric=2 if samples == 3 else 1)
    with pytest.raises(BadImage, match=f"^{name} picture: convert it to 8 or 16 bits"):
        decode(data)


def test_a_portable_float_map_is_refused_too() -> None:
    with pytest.raises(BadImage, match=r"^32-bit float picture: convert it"):
        decode(b"Pf\n2 1\n-1.0\n" + np.array([0.1, 0.9], "<f4").tobytes())


def test_colours_of_16_bits_that_would_come_out_wrong_are_refused() -> None:
    """Pillow reads planes of 16 bits as if they were of 8, and keeps the high byte of 12 bits in 16."""
    planes = [(284, [2]), (273, [8, 16, 24]), (279, [8, 8, 8])]
    data = tiff(np.stack([GREYS] * 3).tobytes(), 4, [16] * 3, photometric=2, more=planes)
    with pytest.raises(BadImage, match="16-bit colours in planes"):
        decode(data)
    planes = [(284, [2]), (273, [8, 12, 16]), (279, [4, 4, 4])]
    data = tiff(bytes([0, 1, 2, 3] * 3), 4, [8] * 3, photometric=2, more=planes)
    assert levels(data) == [0, 1, 2, 3]
    colour = np.repeat(GREYS.clip(0, 4095), 3).tobytes()
    with pytest.raises(BadImage, match=r"^12-bit colour picture: convert it"):
        decode(tiff(colour, 4, [16] * 3, photometric=2, more=[(281, [4095] * 3)]))
    assert levels(tiff(np.repeat(GREYS, 3).tobytes(), 4, [16] * 3, photometric=2, more=[(281, [65535] * 3)]))[-1] == 255


@pytest.mark.parametrize("factor", [1, 256, 257])
def test_palettes_of_16_bits_and_those_that_hold_8(factor: int) -> None:
    data = tiff(bytes([0, 1, 200, 255]), 4, photometric=3, more=[(320, [factor * value for value in PALETTE])])
    assert decode(data)[:, 0].tolist() == [[0, 1, 200, 255], [255, 254, 55, 0], [7] * 4]


def test_the_transparent_grey_or_colour_of_a_png_at_every_depth() -> None:
    def key(*values: int) -> bytes:
        return chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))

    assert levels(png(bytes([0b00011011]), 4, 2, before=key(1))) == [0, 255, 170, 255]
    assert levels(png(bytes([0x05, 0xAF]), 4, 4, before=key(5))) == [0, 255, 170, 255]
    assert levels(png(bytes([0, 5, 6, 255]), 4, 8, before=key(5))) == [0, 255, 6, 255]
    assert levels(png(struct.pack(">4H", 0, 500, 501, 65535), 4, 16, before=key(500))) == [0, 255, 2, 255]
    colours = struct.pack(">6H", *[0x1234] * 3, *[0x4321] * 3)
    assert levels(png(colours, 2, 16, 2, before=key(*[0x1234] * 3))) == [255, 0x43]


def test_a_picture_in_strips_is_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Image.effect_noise((40, 30), 80)
    for mode in ("L", "LA", "RGB", "RGBA", "P", "CMYK", "I;16"):
        image = noise.convert(mode if mode != "I;16" else "I")
        if mode == "I;16":
            image = Image.fromarray((np.asarray(noise, np.uint16) * 250).astype(np.uint16))
        if mode == "P":
            image.info["transparency"] = 5
        whole = depths.to_rgb(image)
        with monkeypatch.context() as patch:
            patch.setattr(depths, "STRIP", 40 * 7)
            assert np.array_equal(depths.to_rgb(image), whole), mode
