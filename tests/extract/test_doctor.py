import json

import pytest
import torch

from extract import doctor
from extract.images import decoding as images
from store import doctor as store_doctor


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_doctor, "TRIAL_BYTES", 1 << 16)


def test_every_part_is_looked_at(tmp_path, capsys) -> None:
    where = ["--store", str(tmp_path / "store"), "--data-root", str(tmp_path), "--weights-root", str(tmp_path)]
    assert doctor.main([*where, "--json"]) == 0
    found = {check["what"]: check for check in json.loads(capsys.readouterr().out)}
    assert [*found] == [
        "versions", "disk", "feature sets", "records", "devices", "decoders", "weights", "datasets", "extras",
    ]  # fmt: skip
    assert "cores" in found["devices"]["told"]
    assert "differ by at most" in found["decoders"]["told"]
    assert "efficientnet_lite0" in found["weights"]["told"], "its weights are a package"
    assert found["datasets"]["told"].startswith("openmoji, digits")
    assert not (tmp_path / "store").exists()


def test_a_decoder_that_sees_another_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    right = images.decode
    assert doctor.decoders().state == "ok"
    monkeypatch.setattr(images, "decode", lambda data: right(data) ^ torch.tensor(255, dtype=torch.uint8))
    found = doctor.decoders()
    assert found.state == "BAD"
    assert "differ by at most 2" in found.told


def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "timm" else object())
    assert doctor.extras().told == "without timm: pip install 'motherlode[demo]'"
