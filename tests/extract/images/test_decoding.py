import io

import numpy as np
import pytest
from PIL import Image

from extract.datasets.common import Images
from extract.images.decoding import decode, decoded, prepare
from extract.images.recipes import RECIPES
from store.errors import BadImage
from store.samples import Samples
from store.writer import content_hash

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixel(data: bytes) -> tuple[int, ...]:
    image = decode(data)
    assert image.dtype.is_floating_point is False
    assert image.shape[0] == 3
    return tuple(image[:, 0, 0].tolist())


def test_every_mode_becomes_rgb() -> None:
    assert pixel(encoded(Image.new("RGB", (3, 2), RED))) == RED
    assert pixel(encoded(Image.new("L", (3, 2), 7))) == (7, 7, 7)
    assert pixel(encoded(Image.new("1", (3, 2), 1))) == WHITE
    assert pixel(encoded(Image.new("RGB", (3, 2), RED).quantize(2))) == RED
    assert pixel(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100))[0] > 240
    grey16 = Image.fromarray(np.full((2, 3), 200 * 257, np.uint16))
    assert pixel(encoded(grey16)) == (200, 200, 200)


def test_transparency_is_composited_on_white() -> None:
    assert pixel(encoded(Image.new("RGBA", (3, 2), (*RED, 0)))) == WHITE
    assert pixel(encoded(Image.new("RGBA", (3, 2), (*RED, 128)))) == (255, 127, 127)
    assert pixel(encoded(Image.new("LA", (3, 2), (0, 0)))) == WHITE
    palette = Image.new("P", (3, 2), 0)
    palette.putpalette([*RED, 0, 0, 0])
    assert pixel(encoded(palette, transparency=0)) == WHITE


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, (0, 0, 255))]
    assert pixel(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])) == RED


def test_exif_rotation_is_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    assert decode(encoded(Image.new("RGB", (30, 20)), "JPEG", exif=exif)).shape == (3, 20, 30)


def test_what_is_no_image_is_refused() -> None:
    whole = encoded(Image.effect_noise((64, 64), 50).convert("RGB"), "JPEG")
    for data, why in (
        (b"", "the file is empty"),
        (b"<html>not found</html>", r"not an image of JPEG, .*: it begins with b'<html>not found<'"),
        (whole[: len(whole) // 2], "truncated"),
    ):
        with pytest.raises(BadImage, match=why):
            decode(data)


def samples(count: int) -> Samples:
    return Samples("toy", "train", [f"{i}.png" for i in range(count)], np.full(count, 9))


def test_decoding_keeps_order_and_says_what_is_bad() -> None:
    data = [encoded(Image.new("RGB", (9, 9), (i, 0, 0))) for i in range(40)]
    data[13] = data[13][:40]
    images, recipes = Images(samples(40), lambda row: data[row]), [RECIPES["pixels_16"], RECIPES["fewshot_84"]]
    found = list(decoded(images, [(row, recipes) for row in range(5, 40)], workers=3, ahead=4))
    assert [sample.row for sample in found] == list(range(5, 40))
    assert [sample.row for sample in found if sample.bad] == [13]
    assert found[-1].pixels[recipes[0]][0].unique().tolist() == [39]
    assert found[-1].pixels[recipes[1]].shape == (3, 84, 84)
    assert found[0].content == content_hash(data[5])


def test_a_picture_that_is_all_but_a_line_is_bad_and_not_a_flood_of_memory() -> None:
    picture = np.zeros((1, 30000, 3), np.uint8)
    found = prepare(Images(samples(1), lambda row: picture), 0, [RECIPES["imagenet_224"]])
    assert found.bad == "30000 x 1 pixels are too narrow to be resized to 256"
    assert not prepare(Images(samples(1), lambda row: picture), 0, [RECIPES["pixels_16"]]).bad


def test_pictures_of_a_package_are_hashed_too() -> None:
    picture = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    found = prepare(Images(samples(1), lambda row: picture), 0, [RECIPES["pixels_16"]])
    assert found.content == content_hash(picture.tobytes())
    assert not found.bad
